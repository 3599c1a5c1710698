"""Scenario 10, publish post: a headless CMS tells every site builder of a post that is published, nobody of a draft.

Run `python examples/publish_post/run.py`. It exits with 1 if a builder is not notified, is notified of a draft, or can
read one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tidings.client import Client, NotFound
from tidings.testing import ProcessServer, Received, Receiver, until

sys.path.append(str(Path(__file__).parents[1]))
from independent import Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
BUILDERS = ("/netlify", "/vercel", "/our-own")
NEWS = ["posts.published", "posts.revised"]

EDITOR = [{"collection": "posts", "verbs": ["list", "get", "create", "edit"]}]
BUILDER = [{"collection": "posts", "verbs": ["list", "get"], "rows": {"status": "published"}}]


def write(editor: Client) -> tuple[str, str]:
    """Two drafts, of which one is published, and corrected later. The ids of the published one and of the draft."""
    posts = editor.items("posts")
    post = posts.create({"slug": "hello", "title": "Hello"})
    draft = posts.create({"slug": "not-yet", "title": "Not yet"})
    posts.edit(post["id"], {"body": "This is our frist post."})
    posts.edit(draft["id"], {"body": "Still thinking."})
    print("The editor writes two drafts, and edits both.")
    posts.edit(post["id"], {"status": "published"})
    print("It publishes one of them, 'hello'.")
    posts.edit(post["id"], {"body": "This is our first post."})
    print("It mends a word in it, and edits the draft once more.")
    posts.edit(draft["id"], {"title": "Perhaps never"})
    return str(post["id"]), str(draft["id"])


def build(builder: Client, draft: str) -> tuple[list[str], bool]:
    """What a notified site builder does: read what is published. The bodies, and whether a draft is hidden."""
    bodies = [post["body"] for post in builder.items("posts").list(sort="created")]
    try:
        builder.items("posts").get(draft)
    except NotFound as hidden:
        print(f"A builder asks for the draft: {hidden.status} {hidden.detail}")
        return bodies, True
    return bodies, False


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        editor_key = operator.create_key("the editor", [], permits=EDITOR)["key"]
        builder_key = operator.create_key("a site builder", [], permits=BUILDER)["key"]
        secrets: dict[str, str] = {}

        def check(request: Received) -> None:
            Webhook(secrets[request.path]).verify(request.body, dict(request.headers))

        with (
            Receiver(check) as sites,
            Client(server.url, editor_key) as editor,
            Client(server.url, builder_key) as builder,
        ):
            for path in BUILDERS:
                endpoint = operator.create_endpoint(sites.url(path), events=NEWS, order="subject")
                secrets[path] = operator.endpoint_secret(endpoint["id"])["secret"]
            post, draft = write(editor)
            sites.wait_for(len(BUILDERS) * len(NEWS))
            until(lambda: not list(operator.deliveries(state="waiting")), "nothing waits any more")
            told = {
                path: [(each.json["type"], each.json["data"]["slug"]) for each in sites.requests(path)]
                for path in BUILDERS
            }
            for path, news in told.items():
                print(f"{path:<10} was told: {news}")
            bodies, hidden = build(builder, draft)
            print(f"What it builds of: {bodies}")
            log = [event["type"] for event in operator.events(subject=draft)]
            well = (
                all(news == [(name, "hello") for name in NEWS] for news in told.values())
                and not sites.refused
                and all(each.json["data"]["id"] == post for each in sites.requests())
                and bodies == ["This is our first post."]
                and hidden
                and log == ["posts.updated", "posts.updated", "posts.created"]
            )
    print("Every site builder knows, and no draft is out." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

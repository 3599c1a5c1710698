"""Scenario 16, trend report: another service's newest posts are read page after page, and counted by their tags.

Run `python examples/trend_report/run.py`. It plays the service: new posts move the older ones to later pages while they
are read, and whoever asks more than ten times a second is refused. The server is killed once. It ends with 1 where a
post is missing or comes twice, or where the service had to refuse a request.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tidings.client import Client
from tidings.model.moment import to_text
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

CONFIG = Path(__file__).parent / "tidings.yaml"
TAGS = ("python", "sqlite", "webhooks")
POSTS, PAGE, PER_SECOND = 90, 10, 10
PAUSE_SECONDS = 0.04


class Social:
    """The service: the newest posts first, in pages that move when something is posted."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.chance, self.lock = random.Random(16), threading.Lock()
        self.recent: deque[float] = deque()
        self.requests = self.refused = self.pages_most = 0

    def post(self) -> None:
        """Somebody posts; the service counts whole seconds."""
        with self.lock:
            tag, likes = self.chance.choice(TAGS), self.chance.randrange(1000)
            created = to_text(time.time_ns() // 1_000_000_000 * 1_000_000)
            self.posts.append({"id": f"p{len(self.posts)}", "tag": tag, "likes": likes, "created": created})

    def answer(self, request: Received) -> Reaction | int:
        """A page, or a refusal."""
        if request.headers.get("authorization") != "Bearer social-key":
            return 401
        self.requests += 1
        if not self._allowed(request.at):
            self.refused += 1
            return Reaction(status=429, headers={"Retry-After": "5"})
        query = dict(parse_qsl(urlsplit(request.path).query))
        page = int(query["page"])
        self.pages_most = max(self.pages_most, page)
        with self.lock:
            found = [post for post in reversed(self.posts) if post["created"] >= query["since"][:19]]
        body = {"posts": found[(page - 1) * PAGE : page * PAGE], "more": len(found) > page * PAGE}
        headers = {"Content-Type": "application/json"}
        return Reaction(status=200, body=json.dumps(body).encode(), headers=headers)

    def _allowed(self, at: float) -> bool:
        """Ten in any second."""
        while self.recent and self.recent[0] <= at - 1:
            self.recent.popleft()
        self.recent.append(at)
        return len(self.recent) <= PER_SECOND


def play(social: Social, server: ProcessServer) -> None:
    """People post, and the server is killed in the middle."""
    for number in range(POSTS):
        social.post()
        if number == POSTS // 2:
            server.kill()
            server.start()
        time.sleep(PAUSE_SECONDS)


def report(operator: Client) -> dict[str, tuple[int, int]]:
    """How many posts each tag has, and how many likes."""
    found = {}
    for tag in TAGS:
        posts = list(operator.items("posts").list(tag=tag))
        found[tag] = (len(posts), sum(post["likes"] for post in posts))
    return found


def main() -> int:
    """Play it, and compare. The exit status."""
    social = Social()
    for _ in range(PAGE * 3):
        social.post()
    with Receiver() as http:
        http.answer_by(social.answer)
        os.environ.update(SOCIAL_URL=http.url("").rstrip("/"), SOCIAL_KEY="social-key")
        with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
            play(social, server)
            until(lambda: len(list(operator.items("posts").list())) >= len(social.posts), "all are counted", 30)
            events = Counter(event["subject"] for event in operator.events(type="social.post"))
            found = report(operator)
    for tag, (count, likes) in found.items():
        print(f"#{tag}: {count} posts, {likes} likes")
    print(f"{social.requests} requests, up to {social.pages_most} pages in a row; {social.refused} were refused.")
    wanted = {tag: [post["likes"] for post in social.posts if post["tag"] == tag] for tag in TAGS}
    well = (
        found == {tag: (len(likes), sum(likes)) for tag, likes in wanted.items()}
        and events == Counter(post["id"] for post in social.posts)
        and social.refused == 0
        and social.pages_most > 2
    )
    print("Every post once, none missed, and the rate was kept." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

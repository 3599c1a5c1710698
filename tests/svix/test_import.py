"""`tidings svix import`: one server's applications and endpoints on another, and receivers notice nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.svix import sdk
from tidings.cli.commands import tree
from tidings.cli.svix.copying import Copier, SvixServer
from tidings.client import Client
from tidings.testing import Receiver, TestServer, until

pytestmark = pytest.mark.sqlite_only
Import = Callable[..., Result]


@pytest.fixture(scope="module")
def target() -> Iterator[TestServer]:
    with TestServer() as running:
        yield running


@pytest.fixture(scope="module")
def run(server: TestServer, target: TestServer) -> Import:
    def call(*arguments: str, **more: str) -> Result:
        env = {
            "TIDINGS_URL": target.url,
            "TIDINGS_KEY": target.api.key or "",
            "SVIX_SERVER_URL": f"{server.url}/svix",
            "SVIX_TOKEN": server.api.key or "",
        }
        return CliRunner().invoke(tree(("svix",)), ["svix", "import", *arguments], env={**env, **more})

    return call


def counted(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    counts: dict[str, Any] = json.loads(done.stdout)["counts"]
    return {kind: {name: number for name, number in of.items() if number} for kind, of in counts.items()}


@pytest.mark.slow
def test_a_receiver_verifies_before_and_after_with_the_same_secret(
    server: TestServer, target: TestServer, receiver: Receiver, svix: sdk.Svix, run: Import
) -> None:
    schemas = {"1": {"type": "object"}}
    svix.event_type.create(sdk.EventTypeIn(name="user.made", description="Made", schemas=schemas))
    svix.event_type.create(sdk.EventTypeIn(name="user.gone", description="Gone", archived=True))
    app = svix.application.create(sdk.ApplicationIn(name="Acme", uid="acme", metadata={"plan": "gold"}))
    nameless = svix.application.create(sdk.ApplicationIn(name="Without a uid"))
    given = sdk.EndpointIn(
        url=receiver.url("/moved"),
        channels=["a", "b"],
        event_types=["user.made"],
        throttle_rate=7,
        metadata={"k": "v"},
        headers={"X-Secret": "hidden"},
    )
    endpoint = svix.endpoint.create(app.id, given)
    off = svix.endpoint.create(nameless.id, sdk.EndpointIn(url=receiver.url("/off"), uid="off", disabled=True))

    assert counted(run("--json", "--dry-run")) == {
        "event types": {"created": 2},
        "applications": {"created": 2},
        "endpoints": {"created": 2},
    }
    assert not target.api.get("/v1/tenants")["data"]
    first = run()
    assert first.exit_code == 0 and "X-Secret" in first.stdout and "endpoints" in first.stdout
    assert "X-Secret" in run("--json").stdout
    there = sdk.Svix(target.api.key or "", sdk.SvixOptions(server_url=f"{target.url}/svix", retry_schedule=[]))
    there.endpoint.patch_headers("acme", endpoint.id, sdk.EndpointHeadersPatchIn(headers={"x-secret": "hidden"}))
    assert "X-Secret" not in run().stdout
    second = counted(run("--json"))
    assert second == {
        "event types": {"unchanged": 2},
        "applications": {"unchanged": 2},
        "endpoints": {"unchanged": 2},
    }

    moved = there.endpoint.get("acme", endpoint.id)
    assert (moved.channels, moved.event_types, moved.throttle_rate) == (["a", "b"], ["user.made"], 7)
    assert there.endpoint.get(nameless.id, "off").disabled and off.disabled
    assert there.event_type.get("user.made").schemas == schemas and there.event_type.get("user.gone").archived
    assert there.application.get("acme").metadata == {"plan": "gold"}
    secret = svix.endpoint.get_secret(app.id, endpoint.id).key
    for number, client in enumerate((svix, there), 1):
        message = sdk.MessageIn(event_type="user.made", payload={"n": number}, channels=["b"])
        client.message.create("acme", message)
        request = until(lambda: receiver.requests("/moved")[number - 1 :], "the webhook")[0]
        sdk.Webhook(secret).verify(request.body, dict(request.headers))
        assert request.json == {"n": number}


@pytest.mark.slow
def test_what_changed_in_the_meantime_is_changed(
    receiver: Receiver, svix: sdk.Svix, target: TestServer, run: Import
) -> None:
    app = svix.application.create(sdk.ApplicationIn(name="Later", uid="later"))
    endpoint = svix.endpoint.create(app.id, sdk.EndpointIn(url=receiver.url("/later"), channels=["x"], description="d"))
    run("--json")
    svix.endpoint.patch(app.id, endpoint.id, sdk.EndpointPatch(channels=[], description="", disabled=True))
    svix.endpoint.rotate_secret(app.id, endpoint.id, sdk.EndpointSecretRotateIn())
    assert counted(run("--json"))["endpoints"]["changed"] == 1
    there = sdk.Svix(target.api.key or "", sdk.SvixOptions(server_url=f"{target.url}/svix", retry_schedule=[]))
    found = there.endpoint.get("later", endpoint.id)
    assert (found.channels, found.description, found.disabled) == (None, "", True)
    assert there.endpoint.get_secret("later", endpoint.id) == svix.endpoint.get_secret("later", endpoint.id)
    assert "changed" not in counted(run("--json"))["endpoints"]


@pytest.mark.slow
def test_ids_and_uids_that_callers_stored_find_the_same_things(
    receiver: Receiver, svix: sdk.Svix, target: TestServer, run: Import
) -> None:
    there = sdk.Svix(target.api.key or "", sdk.SvixOptions(server_url=f"{target.url}/svix", retry_schedule=[]))
    dotted = svix.application.create(sdk.ApplicationIn(name="Dotted", uid="a.b.c"))
    nameless = svix.application.create(sdk.ApplicationIn(name="Nameless"))
    first = there.application.create(sdk.ApplicationIn(name="Here first", uid="here.first"))
    late = svix.application.create(sdk.ApplicationIn(name="Here first", uid="here.first"))
    endpoint = svix.endpoint.create(dotted.id, sdk.EndpointIn(url=receiver.url("/stored"), uid="ep-1"))
    other = svix.endpoint.create(dotted.id, sdk.EndpointIn(url=receiver.url("/other")))
    assert endpoint.id != "ep-1" and dotted.id != "a.b.c"
    for _ in range(2):
        counts = counted(run("--json"))
        for app in (dotted.id, "a.b.c"):
            assert {there.endpoint.get(app, name).uid for name in (endpoint.id, "ep-1")} == {"ep-1"}
            assert there.application.get(app).uid == "a.b.c"
            assert there.endpoint.get(app, other.id).uid is None
        assert there.application.get(nameless.id).uid is None
        assert there.application.get(late.id).id == there.application.get("here.first").id == first.id
    assert not {"created", "changed"} & (counts["applications"].keys() | counts["endpoints"].keys())

    svix.endpoint.patch(dotted.id, other.id, sdk.EndpointPatch(uid="ep-2"))
    svix.endpoint.patch(dotted.id, endpoint.id, sdk.EndpointPatch(uid="ep-3"))
    assert counted(run("--json"))["endpoints"]["changed"] == 2
    assert there.endpoint.get("a.b.c", other.id) == there.endpoint.get("a.b.c", "ep-2")
    assert there.endpoint.get("a.b.c", endpoint.id) == there.endpoint.get("a.b.c", "ep-3")
    for taken in (endpoint.id, there.endpoint.get("a.b.c", "ep-2").id):
        with pytest.raises(sdk.HttpError) as caught:
            there.endpoint.create("a.b.c", sdk.EndpointIn(url=receiver.url("/taken"), uid=taken))
        assert caught.value.status_code == 409
    with pytest.raises(sdk.HttpError) as caught:
        there.application.create(sdk.ApplicationIn(name="Taken", uid=late.id))
    assert caught.value.status_code == 409


@pytest.mark.slow
def test_a_key_of_too_few_scopes_copies_nothing_and_says_so(
    receiver: Receiver, svix: sdk.Svix, target: TestServer, run: Import
) -> None:
    app = svix.application.create(sdk.ApplicationIn(name="Skipped", uid="skipped"))
    for n in range(2):
        svix.endpoint.create(app.id, sdk.EndpointIn(url=receiver.url(f"/skipped/{n}")))
    key = target.api.post("/v1/keys", {"name": "few", "scopes": ["endpoints:write", "tenants:read"]})["key"]
    done = run("--json", TIDINGS_KEY=key)
    said = json.loads(done.stdout)
    assert done.exit_code == 1 and said["counts"]["endpoints"]["failed"] >= 2
    assert "endpoints of application skipped: all 2, as the application was not copied" in said["not_copied"]


@pytest.mark.slow
def test_what_cannot_be_copied_is_said(target: TestServer) -> None:
    """A server as Svix's own cloud is: header values that it shows, rates of applications, names that we refuse."""
    lists: dict[tuple[str, ...], list[Any]] = {
        ("event-type",): [{"name": "a..b", "description": "not a name here"}],
        ("app",): [{"id": "app_2x", "name": "Limited", "uid": "lim", "rateLimit": 5, "metadata": {}}],
        ("app", "app_2x", "endpoint"): [
            {"id": "ep_2y", "url": "http://127.0.0.1:9/", "description": "", "metadata": {}, "filterTypes": ["a.b"]}
        ],
    }
    ones: dict[str, Any] = {
        "secret": {"key": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        "headers": {"headers": {"X-Mine": "1"}, "sensitive": ["authorization"]},
    }

    class Cloud(SvixServer):
        def list(self, *steps: str, **query: Any) -> Iterator[dict[str, Any]]:
            yield from lists[steps]

        def call(self, method: str, *steps: str, body: Any = None, **query: Any) -> Any:
            assert method == "GET", "nothing is written at Svix"
            return ones[steps[-1]]

    with Client(target.url, target.api.key or "") as client:
        copier = Copier(Cloud(client), SvixServer(client, "/svix"), dry_run=False)
        copier.run()
    assert copier.failed and copier.counts["endpoints"]["created"] == 1
    assert [each.partition(":")[0] for each in copier.lost] == [
        "event type a..b",
        "application lim",
        "endpoint ep_2y of application lim",
    ]
    there = sdk.Svix(target.api.key or "", sdk.SvixOptions(server_url=f"{target.url}/svix", retry_schedule=[]))
    assert there.application.get("app_2x").id == there.application.get("lim").id == "app_2x"
    assert there.endpoint.get_headers("lim", "ep_2y").sensitive == ["X-Mine"]


def test_a_wrong_source_is_said(run: Import, target: TestServer) -> None:
    assert "A token for the Svix server" in run(SVIX_TOKEN="").stderr
    assert "The Svix server refused" in run(SVIX_TOKEN="wrong").stderr
    assert "Svix server" in run(SVIX_SERVER_URL=f"{target.url}/healthz").stderr

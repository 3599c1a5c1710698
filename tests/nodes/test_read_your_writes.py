"""What a client makes at one node, it can use at another the next moment, and what it ended there ends soon.

In most of these tests the nodes hear nothing of one another: what a request needs, the node has to look for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from tests.nodes.peers import neighbour
from tests.portal.customer import Customer
from tests.postgres_server import PostgresServer
from tests.web.test_front_door import by_ticket
from tidings.store.joined.fresh import LOOKS_PER_SECOND
from tidings.store.joined.wakes import LOOK_SECONDS, Wakes
from tidings.testing import Api, TestServer, until
from tidings.web.callers.access import FAILURES_MAX

Pair = tuple[TestServer, TestServer]
TIMES = 10
EVENT = {"type": "a.b", "data": {}}


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=True) as url:
        yield url


@pytest.fixture(scope="module")
def deaf(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("deaf")
    with contextlib.ExitStack() as stack:
        with mock.patch.object(Wakes, "start", lambda wakes: None):
            a, b = (stack.enter_context(neighbour(url, folder / name)) for name in "ab")
        yield a, b


def turns(pair: Pair) -> Iterator[tuple[int, TestServer, TestServer]]:
    """Both ways in turn."""
    for n in range(TIMES):
        yield (n, *(pair if n % 2 else pair[::-1]))


def key_of(node: TestServer, *scopes: str) -> Api:
    return node.api.with_key(node.api.post("/v1/keys", {"scopes": list(scopes)})["key"])


def at(node: TestServer, caller: Api) -> Api:
    return node.api.with_key(caller.key)


def test_a_key_which_does_not_count_as_a_wrong_one_before(deaf: Pair) -> None:
    for _ in range(2 * FAILURES_MAX // TIMES):
        for _, here, there in turns(deaf):
            key = key_of(here, "events:write")
            assert at(there, key).call("POST", "/v1/events", EVENT).status == 202


def test_a_collection_its_new_field_and_its_items(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        name, kind = f"things{n}", {"type": "string"}
        here.api.put(f"/v1/collections/{name}", {"fields": {"one": kind}})
        made = there.api.call("POST", f"/v1/items/{name}", {"one": "x"})
        assert made.status == 201, made.body
        assert here.api.get(f"/v1/items/{name}/{made.json['id']}")["one"] == "x"
        here.api.put(f"/v1/collections/{name}", {"fields": {"one": kind, "two": kind}})
        assert there.api.call("POST", f"/v1/items/{name}", {"two": "y"}).status == 201


def test_a_permit_to_a_collection(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        name = f"permitted{n}"
        here.api.put(f"/v1/collections/{name}", {"fields": {"one": {"type": "string"}}})
        made = here.api.post("/v1/keys", {"permits": [{"collection": name, "verbs": ["create"], "write": ["one"]}]})
        caller = there.api.with_key(made["key"])
        assert caller.call("POST", f"/v1/items/{name}", {"one": "x"}).status == 201


def test_a_hook_and_a_form(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        here.api.post("/v1/hooks", {"path": f"in{n}", "scheme": "github", "secrets": ["x"]})
        anyone = there.api.with_key(None)
        assert anyone.call("POST", f"/in/in{n}", {"a": 1}).status == 401, "there is a hook, and it asks for a signature"
        here.api.post("/v1/forms", {"path": f"form{n}", "fields": {"name": {}}})
        assert anyone.call("GET", f"/f/form{n}").status == 200


def test_what_was_made_is_read_and_changed(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        hook = here.api.post("/v1/hooks", {"path": f"changed{n}", "scheme": "github", "secrets": ["x"]})
        endpoint = here.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": [f"kind{n}.x"]})
        for path in (f"/v1/hooks/{hook['id']}", f"/v1/endpoints/{endpoint['id']}"):
            assert there.api.call("GET", path).status == 200
            assert there.api.call("PATCH", path, {"description": "new"}).status == 200
        here.api.post("/v1/tenants", {"id": f"tenant{n}"})
        assert there.api.call("GET", f"/v1/tenants/tenant{n}").status == 200
        here.api.put(f"/v1/event-types/kind{n}.x", {"schema": {"type": "object", "required": ["a"]}})
        assert there.api.call("GET", f"/v1/event-types/kind{n}.x").status == 200


def test_a_portal_link_and_its_session(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        made = Customer(here.api, f"people{n}")
        made.api = there.api.with_key(None)
        made.open()
        made.api = here.api.with_key(None)
        assert made.call().status == 200


def test_a_key_signs_in_to_the_console_and_the_session_is_known_elsewhere(deaf: Pair) -> None:
    for _, here, there in turns(deaf):
        key = key_of(here, "events:read")
        assert at(there, key).call("POST", "/console/link").status == 201


def test_a_repeat_with_its_idempotency_key(deaf: Pair) -> None:
    for n, here, there in turns(deaf):
        headers = {"Idempotency-Key": f"repeat{n}"}
        first = here.api.call("POST", "/v1/keys", {"scopes": ["events:read"]}, headers)
        again = there.api.call("POST", "/v1/keys", {"scopes": ["events:read"]}, headers)
        assert first.body == again.body and again.headers["idempotency-replayed"] == "true"


def test_a_cursor_and_a_ticket(deaf: Pair) -> None:
    a = deaf[0].api
    for _ in range(4):
        a.publish("a.b")
    for _, here, there in turns(deaf):
        key = key_of(here, "events:read")
        page = key.call("GET", "/v1/events?limit=2")
        _, _, cursor = page.headers["link"].partition("cursor=")
        more = at(there, key).call("GET", f"/v1/events?limit=2&cursor={cursor.partition('>')[0]}")
        assert more.status == 200 and len(more.json["data"]) == 2
        ticket = key.post("/v1/events/stream:ticket", None)["ticket"]
        reader = by_ticket(there, ticket, "&after=start")
        assert reader.frame() is not None
        reader.close()


def test_a_flood_of_what_is_unknown_has_few_looks(deaf: Pair) -> None:
    node = deaf[1]
    assert node.server is not None and node.server.parts.others is not None
    fresh, began, before = node.server.parts.others.fresh, time.monotonic(), node.server.parts.others.fresh.looks

    def guess(n: int) -> int:
        return node.api.call("GET", f"/v1/endpoints/ep_{n}").status

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(guess, range(200))) == {404}
    assert fresh.looks - before <= (time.monotonic() - began) * LOOKS_PER_SECOND + 2


def test_many_who_wait_share_looks(deaf: Pair) -> None:
    node = deaf[1]
    assert node.server is not None and node.server.parts.others is not None
    fresh = node.server.parts.others.fresh
    loop = node.server._loop
    assert loop is not None

    async def ask() -> list[bool]:
        version = fresh._catalog.now.version
        return await asyncio.gather(*(fresh.newer_than(version) for _ in range(500)))

    before = fresh.looks
    assert not any(asyncio.run_coroutine_threadsafe(ask(), loop).result(10))
    assert fresh.looks - before <= 2


def test_a_revoked_key_works_for_a_quarter_of_a_second_at_most(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hearing")
    with neighbour(url, folder / "a") as a, neighbour(url, folder / "b") as b:
        assert b.server is not None and b.server.parts.others is not None
        for hears in (True, False):
            if not hears:
                # Notifications are lost: it looks.
                b.server.parts.others.wakes._hear = lambda text, sender: None  # type: ignore[method-assign]
            made = a.api.post("/v1/keys", {"scopes": ["events:read"]})
            key = b.api.with_key(made["key"])
            assert key.call("GET", "/v1/events").status == 200
            version = b.server.parts.catalog.now.version
            a.api.call("DELETE", f"/v1/keys/{made['id']}")
            began = time.monotonic()
            catalog = b.server.parts.catalog
            until(lambda: catalog.now.version > version, "the other node knows")
            assert time.monotonic() - began < LOOK_SECONDS + 2
            assert key.call("GET", "/v1/events").status == 401

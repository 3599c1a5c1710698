"""Many deliveries at once: all that fit a filter are counted, then retried or cancelled, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.delivery.world import World
from tests.web.test_endpoints import key_of
from tidings.control.bulk import running
from tidings.testing import ProcessServer, Receiver, until

RETRY, CANCEL = "/v1/deliveries:retry", "/v1/deliveries:cancel"


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ROWS_PER_RETRY", 2)
    monkeypatch.setattr(running, "ROWS_PER_CANCEL", 2)


def ended(world: World, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = world.api.get(f"/v1/replays/{job}")
        return found if found["state"] != "running" else None

    found = until(look, f"{job} ends")
    assert found is not None
    return found


def failed(world: World, path: str, count: int, type: str = "bulk.a", **options: Any) -> str:
    """An endpoint with this many dead deliveries."""
    world.receiver.answer(500, path=path)
    endpoint = world.register(path, retry_delays_seconds=[0], **options)
    for number in range(count):
        world.api.publish(type, {"n": number}, **({"tenant": options["tenant"]} if "tenant" in options else {}))
    until(lambda: len(world.deliveries(endpoint=endpoint, state="dead")) == count, "all are dead")
    return endpoint


@pytest.mark.slow
@pytest.mark.own_server
def test_all_that_failed_are_counted_and_retried_once_by_two_operators(world: World) -> None:
    api = world.api
    for tenant in ("anna", "bert"):
        api.post("/v1/tenants", {"id": tenant})
    mine = failed(world, "/mine", 5, events=["bulk.*"], tenant="anna")
    other = failed(world, "/other", 3, events=["bulk.*"], tenant="bert")
    paused = failed(world, "/paused", 1, "other.a", events=["other.*"], tenant="bert")
    api.post(f"/v1/endpoints/{paused}:pause", {"reason": "test"})
    world.receiver.answer(204, path="/mine")
    world.receiver.answer(204, path="/other")
    dry = api.call("POST", RETRY, {"endpoint_id": mine, "status": "5xx", "dry_run": True})
    assert dry.status == 200
    assert dry.json == {"dry_run": True, "count": 5, "count_is_more": False, "until": dry.json["until"]}
    assert api.post(RETRY, {"tenant": "bert", "dry_run": True})["count"] == 3
    assert api.post(RETRY, {"endpoint_id": mine, "outcome": "timeout", "dry_run": True})["count"] == 0
    assert len(world.deliveries(state="dead")) == 9
    before = len(world.receiver.requests("/mine"))
    both = [api.call("POST", RETRY, {"endpoint_id": mine}) for _ in range(2)]
    assert [reply.status for reply in both] == [201, 201]
    jobs = [ended(world, reply.json["id"]) for reply in both]
    assert [job["state"] for job in jobs] == ["done", "done"] and jobs[0]["which"] == "retry"
    assert jobs[0]["filter"]["state"] == "dead" and jobs[0]["endpoint_id"] == mine
    assert jobs[0]["looked_at"] == jobs[0]["total"]
    until(lambda: len(world.deliveries(endpoint=mine, state="delivered")) == 5, "all are delivered")
    assert sum(job["sent"] for job in jobs) == 5 == len(world.receiver.requests("/mine")) - before
    assert len(world.deliveries(endpoint=other, state="dead")) == 3
    # A tenant's key acts on its tenant's alone.
    own = key_of(api, "bert")
    assert own.call("POST", RETRY, {"endpoint_id": mine}).status == 422
    assert own.call("POST", RETRY, {"tenant": "anna", "dry_run": True}).status == 404
    done = ended(world, own.post(RETRY, {"state": "dead", "since": "2020-01-01T00:00:00Z"})["id"])
    assert (done["sent"], done["tenant"]) == (3, "bert")


@pytest.mark.slow
def test_all_that_wait_are_cancelled_but_not_what_comes_later(world: World) -> None:
    api = world.api
    endpoint = world.register("/slow", events=["bulk.*"])
    api.post(f"/v1/endpoints/{endpoint}:pause", {"reason": "test"})
    for number in range(5):
        api.publish("bulk.a", {"n": number})
    api.publish("bulk.b")
    until(lambda: len(world.deliveries(endpoint=endpoint)) == 6, "all are routed")
    assert api.post(CANCEL, {"endpoint_id": endpoint, "type": "bulk.a", "dry_run": True})["count"] == 5
    done = ended(world, api.post(CANCEL, {"endpoint_id": endpoint, "type": "bulk.a"})["id"])
    assert (done["sent"], done["which"], done["state"]) == (5, "cancel", "done")
    assert [each["state"] for each in world.deliveries(endpoint=endpoint)] == ["cancelled"] * 5 + ["waiting"]
    assert api.get("/v1/jobs")["data"] == []
    assert api.call("POST", f"/v1/replays/{done['id']}:cancel").status == 409


@pytest.mark.slow
@pytest.mark.own_server
def test_a_filter_needs_something_that_narrows_it(world: World) -> None:
    for path in (RETRY, CANCEL):
        for body in (
            {},
            {"dry_run": True},
            {"link": "a", "endpoint_id": "ep_x"},
            {"status": "9999"},
            {"colour": "red"},
        ):
            assert world.api.call("POST", path, body).status == 422, body
    assert world.api.call("POST", RETRY, {"state": "lost"}).status == 422
    assert world.api.call("POST", RETRY, {"since": "yesterday"}).status == 422
    assert (
        world.api.call("POST", RETRY, {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}).status == 422
    )
    assert world.api.post(RETRY, {"since": "2020-01-01T00:00:00Z", "dry_run": True})["count"] == 0


@pytest.mark.slow
def test_a_bulk_job_continues_after_a_restart(world: World) -> None:
    endpoint = failed(world, "/again", 6, events=["bulk.*"])
    world.receiver.answer(204, path="/again")
    job = world.api.post(RETRY, {"endpoint_id": endpoint})["id"]
    world.server.restart()
    assert ended(world, job)["sent"] == 6
    until(lambda: len(world.deliveries(endpoint=endpoint, state="delivered")) == 6, "all are delivered")
    assert len(world.receiver.requests("/again")) == 12


def test_counting_stops_at_its_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "COUNTED_MAX", 3)
    monkeypatch.setattr(running, "ROWS_PER_COUNT", 2)
    failed(world, "/many", 5, events=["bulk.*"])
    counted = world.api.post(RETRY, {"state": "dead", "type": "bulk.*", "dry_run": True})
    assert (counted["count"], counted["count_is_more"]) == (3, True)


@pytest.mark.slow
def test_bulk_jobs_survive_kill_9_and_act_on_each_delivery_once(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        api = server.api
        endpoint, _ = api.register(receiver.url(), events=["bulk.*"], max_in_flight=50)
        api.post(f"/v1/endpoints/{endpoint}:pause", {"reason": "test"})
        api.post("/v1/events:batch", {"events": [{"type": "bulk.a", "data": {"n": n}} for n in range(COUNT)]})

        def killed_under_way(path: str, body: dict[str, Any]) -> dict[str, Any]:
            job = api.post(path, body)["id"]
            until(lambda: api.get(f"/v1/replays/{job}")["looked_at"], "it is under way")
            server.kill()
            server.start()
            until(lambda: api.get(f"/v1/replays/{job}")["state"] == "done", "it is done", 30)
            found: dict[str, Any] = api.get(f"/v1/replays/{job}")
            return found

        cancelled = killed_under_way(CANCEL, {"endpoint_id": endpoint})
        # What the deliver stage cancelled just before is done, and not counted again.
        assert COUNT - 50 <= cancelled["sent"] <= COUNT
        api.post(f"/v1/endpoints/{endpoint}:resume")
        assert killed_under_way(RETRY, {"endpoint_id": endpoint, "state": "cancelled"})["sent"] == COUNT
        query = {"endpoint": endpoint, "state": "delivered"}
        until(lambda: api.get("/v1/deliveries", **query, count="true", limit=1)["count"] == COUNT, "all arrive", 30)
        attempts = [each["attempts"] for each in api.pages("/v1/deliveries", **query, limit=1000)]
    # One says that it was cancelled, the other that it was delivered. A request in flight may have been repeated.
    assert set(attempts) == {2} and COUNT <= len(receiver.requests()) <= COUNT + 50


COUNT = 600


@pytest.mark.slow
def test_a_job_takes_only_what_was_there_when_it_was_counted_and_says_what_it_does(world: World) -> None:
    endpoint = failed(world, "/counted", 2, events=["bulk.*"])
    wanted = {"endpoint_id": endpoint, "status": "5xx"}
    counted = world.api.post(RETRY, {**wanted, "dry_run": True})
    world.clock.advance(1)
    world.api.publish("bulk.a", {"n": 3})
    until(lambda: len(world.deliveries(endpoint=endpoint, state="dead")) == 3, "a later one is dead, too")
    job = ended(world, world.api.post(RETRY, {**wanted, "until": counted["until"]})["id"])
    assert (counted["count"], job["sent"]) == (2, 2)
    to = f"{counted['until'][:10]} {counted['until'][11:19]} UTC"
    assert (
        job["sentence"]
        == f"Retry deliveries that became dead, of {endpoint}, with the status 5xx, created before {to}."
    )

"""`GET /v1/health`: what needs somebody, since when, for whom, why, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidings.model.errors import Unavailable
from tidings.model.moment import HOUR
from tidings.store.base import Db
from tidings.store.engines.statements import statements
from tidings.store.log import failures, standing
from tidings.testing import Api, FakeClock, Reaction, Receiver, TestServer, until
from tidings.views.health import links, whole
from tidings.views.health.report import HealthReport

HEALTH = "/v1/health"
NOT_TABLES = {"j", "json_each", "part", "found", "timed", "w", "t", "u", "f", "timer"}
"""What statements call parts of themselves, and lists that are given to them; and timers, one for a link."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def still(clock: FakeClock, database: str | None, tmp_path: Path) -> Iterator[TestServer]:
    """A server of this test's own, whose clock stands still."""
    with TestServer(tmp_path / "data", clock=clock, database=database) as server:
        yield server


def health(api: Api) -> dict[str, Any]:
    report: dict[str, Any] = api.get(HEALTH)
    msgspec.convert(report, HealthReport)
    return report


def problem(api: Api, what: str) -> dict[str, Any]:
    """The only problem, once it is there."""

    def look() -> dict[str, Any] | None:
        found = health(api)["problems"]
        return found[0] if [each["what"] for each in found] == [what] else None

    return until(look, f"{what} is the only problem")


def failed(still: TestServer) -> int:
    """How often the one link has failed."""
    assert still.server is not None
    return max((each.fails for each in still.server.deliver.snapshot().values()), default=0)


@pytest.mark.slow
def test_all_is_well(still: TestServer) -> None:
    with Receiver() as receiver:
        still.api.register(receiver.url("/well"), events=["well.*"])
        still.api.publish("well.a")
        receiver.wait_for(1)
        until(lambda: health(still.api)["oldest_waiting"] is None, "it is delivered")
        report = health(still.api)
    assert (report["state"], report["sentence"]) == ("ok", "All is well: nothing is waiting.")
    assert report["problems"] == [] and report["problems_total"] == 0
    assert report["endpoints"] == {"enabled": 1, "paused": 0, "disabled": 0, "failing": 0}
    assert report["store"]["accepts_writes"] and report["store"]["refusal"] is None
    assert report["stages"]["deliver_alive"] and report["stages"]["unrouted_events"] == 0


@pytest.mark.slow
def test_a_failing_endpoint_says_since_when_for_whom_why_and_what_to_do(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    api.post("/v1/tenants", {"id": "acme"})
    with Receiver() as receiver:
        receiver.answer(503, path="/down")
        endpoint, _ = api.register(receiver.url("/down"), events=["down.*"], tenant="acme")
        for number in range(12):
            api.publish("down.a", {"n": number}, tenant="acme")
        until(lambda: health(api)["endpoints"]["failing"], "it fails")
        until(lambda: still.server and any(each.alarming for each in still.server.deliver.snapshot().values()), "open")
        assert health(api)["state"] == "ok", "a failure of some seconds needs nobody"
        said = r"Nothing needs your attention yet: 1 endpoint has been failing for \d+ s; "
        said += r"the oldest waiting delivery is \d+ s old\."
        assert re.fullmatch(said, health(api)["sentence"]), "it does not say that all is well while something fails"
        clock.advance(57 * 60)
        found = problem(api, "endpoint")
        report = health(api)
    assert report["state"] == "attention" and report["sentence"] == found["sentence"]
    assert found["sentence"] == f"{endpoint} (acme) has been failing for 57 min; 12 deliveries are waiting."
    assert (found["reason"], found["endpoint_id"], found["tenant"]) == ("The endpoint answered 503.", endpoint, "acme")
    assert f"tidings endpoints show {endpoint}" in found["advice"]
    assert (found["waiting"], found["waiting_is_more"]) == (12, False)
    assert report["oldest_waiting"]["endpoint_id"] == endpoint and report["oldest_waiting"]["age_seconds"] >= 57 * 60
    assert api.get(f"/v1/deliveries/{report['oldest_waiting']['delivery_id']}")["endpoint_id"] == endpoint


@pytest.mark.slow
def test_a_link_that_seldom_acts_and_fails_needs_somebody_after_minutes_and_not_days(
    still: TestServer, clock: FakeClock
) -> None:
    api = still.api
    with Receiver() as receiver:
        receiver.answer(401, path="/orders")
        call = {"post": receiver.url("/orders"), "json": "{{ data }}", "in_doubt": "retry"}
        api.put("/v1/links/orders", {"when": {"event": "shop.order"}, "call": call})
        api.publish("shop.order")
        until(lambda: failed(still) == 1, "it has failed")
        clock.advance(60)
        until(lambda: failed(still) == 2, "it has failed again")
        assert health(api)["state"] == "ok", "it may pass"
        clock.advance(240)
        found = problem(api, "link")
        assert found["sentence"] == "The link orders has been failing for 5 min; 1 delivery is waiting."
        (link,) = api.pages("/v1/links")
        assert link["health"] == api.get("/v1/links/orders")["health"]
        assert (link["health"]["failing_since"], link["health"]["fails"]) == (found["since"], 2)
        assert (found["reason"], found["advice"]) == (
            "Answered 401.",
            "Nothing is lost. See: tidings links runs orders",
        )
        receiver.answer(200, path="/orders")
        api.post(f"/v1/deliveries/{api.pages('/v1/deliveries')[0]['id']}:retry")
        until(lambda: health(api)["state"] == "ok", "it is over")


@pytest.mark.slow
def test_a_link_whose_event_is_refused_for_an_hour_needs_somebody(still: TestServer, clock: FakeClock) -> None:
    """A wrong key, which some services answer with 200: it says nothing about the service, so nothing else would."""
    api = still.api
    with Receiver() as receiver:
        receiver.answer(200, path="/chat")
        call = {"post": receiver.url("/chat"), "json": "{{ data }}", "ok": "{{ body == 'ok' }}"}
        api.put("/v1/links/chat", {"when": {"event": "shop.order"}, "call": call})
        api.publish("shop.order")
        until(lambda: api.pages("/v1/deliveries", outcome="not_ok"), "it is refused")
        clock.advance(3_500)
        assert health(api)["state"] == "ok"
        clock.advance(200)
        found = problem(api, "link")
    assert found["sentence"] == "The link chat has been retrying the same event for 61 min; 1 delivery is waiting."
    assert found["reason"].startswith("Answered 200, which is a failure according to the link's `ok`.")
    assert found["advice"] == "It is retried. See: tidings links runs chat"


@pytest.mark.slow
def test_a_disabled_endpoint_needs_somebody_while_something_waits_for_it(still: TestServer) -> None:
    api = still.api
    with Receiver() as receiver:
        receiver.answer(410, path="/gone")
        endpoint, _ = api.register(receiver.url("/gone"), events=["many.*"])
        api.publish("many.a")
        until(lambda: api.get(f"/v1/endpoints/{endpoint}")["state"] == "disabled", "it is disabled")
    for _ in range(2):
        api.post("/v1/events:batch", {"events": [{"type": "many.a", "data": {}}] * 600})
    until(lambda: problem(api, "endpoint")["waiting_is_more"], "both batches are routed")
    found = problem(api, "endpoint")
    assert found["sentence"] == f"{endpoint} has been disabled for 0 s; 1,000+ deliveries are waiting."
    assert (found["waiting"], found["waiting_is_more"]) == (1000, True)
    assert "410" in found["reason"] and f"tidings endpoints resume {endpoint}" in found["advice"]
    assert health(api)["oldest_waiting"] is None, "nothing waits for what is enabled"
    api.call("DELETE", f"/v1/endpoints/{endpoint}")
    until(lambda: health(api)["state"] == "ok", "what is deleted needs nobody")


@pytest.mark.slow
def test_what_somebody_paused_needs_nobody(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    endpoint, _ = api.register("http://127.0.0.1:9/", events=["rest.*"])
    api.post(f"/v1/endpoints/{endpoint}:pause", {})
    api.publish("rest.a")
    clock.advance(86_400)
    report = health(api)
    assert (report["state"], report["oldest_waiting"], report["endpoints"]["paused"]) == ("ok", None, 1)
    assert report["sentence"] == "All is well: nothing is waiting. 1 endpoint is paused."


@pytest.mark.slow
def test_an_endpoint_that_is_behind(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    with Receiver() as receiver:
        endpoint, _ = api.register(receiver.url("/slow"), events=["slow.*"], rate=0.001)
        for number in range(3):
            api.publish("slow.a", {"n": number})
        receiver.wait_for(1)
        clock.advance(10 * 60)
        until(lambda: problem(api, "endpoint")["waiting"] == 2, "the first one is settled")
        found = problem(api, "endpoint")
    assert found["sentence"] == f"{endpoint} is 10 min behind; 2 deliveries are waiting."
    assert found["reason"] == "The rate is limited to 0.001 requests a second."


@pytest.mark.slow
def test_a_timer_whose_last_run_failed(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    edit = {"collection": "nowhere", "create": True, "data": {"day": "{{ data.due }}"}}
    api.put("/v1/collections/nowhere", {"fields": {"day": {"type": "integer"}}})
    api.put("/v1/links/nightly", {"when": {"every": "1d"}, "item": edit})
    until(lambda: health(api)["dead_last_hour"], "its run is dead")
    clock.advance(2 * 3600)
    found = problem(api, "timer")
    assert re.match(r"The last run of the link nightly failed \d+ .* ago\.", found["sentence"]) and found["reason"]
    assert found["advice"].endswith("tidings links run nightly")


@pytest.mark.slow
def test_what_ended_dead_in_the_last_hour(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    with Receiver() as receiver:
        receiver.answer(422, path="/never")
        endpoint, _ = api.register(receiver.url("/never"), events=["never.*"], give_up_on=[422])
        for number in range(3):
            api.publish("never.a", {"n": number})
        until(lambda: health(api)["dead_last_hour"] == 3, "they are dead")
    found = problem(api, "dead")
    assert found["sentence"] == f"In the last hour, 3 deliveries to {endpoint} became dead."
    assert found["reason"].startswith("The endpoint answered 422.") and "tidings replay" in found["advice"]
    clock.advance(HOUR // 1_000_000 + 1)
    assert (health(api)["state"], health(api)["dead_last_hour"]) == ("ok", 0)


@pytest.mark.slow
def test_a_hook_that_refuses_everything(still: TestServer) -> None:
    api = still.api
    body = {"path": "shop", "scheme": "github", "secrets": ["a-secret-of-the-shop"]}
    hook = api.post("/v1/hooks", body)["id"]
    assert api.with_key(None).call("POST", "/in/shop", {"n": 1}, {"x-github-event": "ping"}).status >= 400
    found = problem(api, "hook")
    assert found["sentence"] == "The hook shop accepted no requests in the last hour, and refused 1."
    assert found["hook_id"] == hook and found["reason"] and "tidings refusals show rcp_" in found["advice"]
    (refused,) = health(api)["refused"]
    assert (refused["hook_id"], refused["form_id"], refused["count"], refused["is_more"]) == (hook, None, 1, False)


@pytest.mark.slow
def test_it_answers_without_a_store(still: TestServer) -> None:
    server = still.server
    assert server is not None
    readers: Any = server.parts.readers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "call", _broken)
        report = health(still.api)
    assert report["state"] == "trouble" and report["stages"] is None
    assert report["problems"][0]["reason"] == "The store cannot be read: it is gone."


async def _broken(job: object, tenant: str | None = None, *, single: bool = False) -> None:
    raise Unavailable("The store cannot be read: it is gone.")


def scanned(db: Db, sql: str, params: dict[str, Any]) -> set[str]:
    """The tables that a statement goes through row by row."""
    if db.dialect == "sqlite":
        plan = "; ".join(str(row[3]) for row in db.query(f"EXPLAIN QUERY PLAN {sql}", params))
        return set(re.findall(r"SCAN (\w+)\b(?! USING| ROW)", plan)) - NOT_TABLES
    written = re.sub(r"%\((\w+)\)s", r":\1", sql).replace("%%", "%")
    found, left = set(), [db.query(f"EXPLAIN (FORMAT JSON) {written}", params)[0][0][0]["Plan"]]
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            found.add(node["Relation Name"])
    return found


def test_every_look_up_of_a_report_uses_an_index(server: TestServer) -> None:
    asked: dict[str, set[str]] = {}

    def job(db: Db) -> None:
        sql = statements(db.dialect)
        if db.dialect == "postgres":
            # Its planner goes by what is in the tables, and reads small ones whole. Without that, it does so only if
            # there is no index to use.
            db.execute("SET LOCAL enable_seqscan = off", {})

        class Noted:
            journal, rest, positions = db.journal, staticmethod(lambda: None), None

            def all(self, name: str, /, **params: Any) -> list[Any]:
                asked[name] = scanned(db, sql[name], params)
                return db.all(name, **params)

            def run_later(self, name: str, /, **params: Any) -> None:
                db.run_later(name, **params)

            def one(self, name: str, /, **params: Any) -> Any:
                return next(iter(self.all(name, **params)), None)

        assert server.server is not None
        parts = server.server.parts
        now = parts.clock.now()
        noted: Any = Noted()
        whole.reading(parts.catalog.now, {}, now)(noted)
        standing.backlogs(noted, [1], {})
        failures.since(noted, now - HOUR, frozenset([1]))
        failures.since(noted, now - HOUR, frozenset(range(100)))
        failures.last(noted, [1], now)
        noted.one("receipt_accepted", hook="hook_a", after="rcp_0", count=10)
        noted.one("refusal_reason", id="rcp_0")

    assert server.server is not None
    server.server.writer.wait(job)
    # They end at their limit, in the order of the key; or have a row for each link.
    bounded = {"waiting_first": {"waiting"}, "replays_under_way": {"replay"}, "links_lagging": {"link_state"}}
    wide = {name: tables for name, each in asked.items() if (tables := each - bounded.get(name, set()))}
    assert not wide
    assert len(asked) >= 15


@pytest.mark.slow
def test_many_that_cannot_be_reached_are_our_own_trouble(still: TestServer, clock: FakeClock) -> None:
    api = still.api
    for number in range(links.UNREACHABLE_LEAST):
        # Nobody listens on the discard port.
        api.register(f"http://127.0.0.1:9/{number}", events=["out.*"])
    for number in range(12):
        api.publish("out.a", {"n": number})
    assert still.server is not None
    lanes = still.server.deliver.snapshot
    until(lambda: sum(each.alarming for each in lanes().values()) == links.UNREACHABLE_LEAST, "all of them fail")
    clock.advance(120)
    report = until(lambda: (each := health(api))["state"] == "trouble" and each, "it is known")
    assert report["problems"][0]["what"] == "network"
    assert report["problems"][0]["sentence"] == "3 of 3 failing endpoints cannot be reached."
    assert report["sentence"].startswith("4 things need attention. 3 of 3 failing endpoints")


@pytest.mark.slow
def test_a_few_that_cannot_be_reached_are_their_own_trouble_if_others_get_theirs(
    still: TestServer, clock: FakeClock
) -> None:
    api = still.api
    with Receiver() as receiver:
        for number in range(links.UNREACHABLE_LEAST):
            api.register(f"http://127.0.0.1:9/{number}", events=["out.*"])
        api.register(receiver.url("/well"), events=["out.*", "later.*"])
        for number in range(12):
            api.publish("out.a", {"n": number})
        assert still.server is not None
        lanes = still.server.deliver.snapshot
        until(lambda: sum(each.alarming for each in lanes().values()) == links.UNREACHABLE_LEAST, "three fail")
        clock.advance(120)
        api.publish("later.a")
        receiver.wait_for(13)
        report = until(lambda: (each := health(api))["problems_total"] == 3 and each, "the well one counts")
    assert report["state"] == "attention"
    assert {each["what"] for each in report["problems"]} == {"endpoint"}
    assert all(each["advice"].startswith(links.THEIRS) for each in report["problems"])


@pytest.mark.slow
def test_the_reason_of_an_endpoint_is_its_last_result_and_quotes_a_short_response(
    still: TestServer, clock: FakeClock
) -> None:
    api = still.api
    with Receiver() as receiver:
        receiver.answer(Reaction(status=503, body=b"maintenance\nuntil noon"), path="/moody")
        endpoint, _ = api.register(receiver.url("/moody"), events=["moody.*"], retry_delays_seconds=[3_600] * 3)
        for number in range(12):
            api.publish("moody.a", {"n": number})
        until(lambda: still.server and any(each.alarming for each in still.server.deliver.snapshot().values()), "open")
        clock.advance(120)
        told = "The endpoint answered 503. It said: maintenance until noon."
        assert until(lambda: problem(api, "endpoint")["reason"] == told, "it is quoted")
        receiver.answer(Reaction(status=500, body=b"<html>oh</html>"), path="/moody")

        def is_last() -> bool:
            # A probe that is on its way has the response from before.
            clock.advance(1_200)
            return str(problem(api, "endpoint")["reason"]) == "The endpoint answered 500."

        until(is_last, "it is the last result")
        (tally,) = api.get("/v1/tallies:links", endpoint=endpoint)["data"]
    assert tally["last_failure"] == "The endpoint answered 500."

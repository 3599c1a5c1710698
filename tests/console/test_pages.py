"""Every page of the console, without scripts: what it says, what its buttons do, and what other keys see of it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.console.house import PATHS, furnish
from tests.console.visitor import Visitor
from tidings.testing import Api, Receiver, TestServer, until
from tidings.web.console.pages.bulk import left_out_in_words
from tidings.web.console.pages.table import PAGES


@pytest.fixture(scope="module", autouse=True)
def ids(server: TestServer, receiver: Receiver) -> dict[str, str]:
    return furnish(server.api, receiver)


def test_every_page_is_opened_here() -> None:
    opened = {
        re.sub(r"\{\w+\}|(?<=/links/)served|(?<=/types/)dishes.ready|orders", "*", each.partition("?")[0])
        for each in PATHS
    }
    known = {re.sub(r"\{\w+\}", "*", each.path) for each in PAGES if not each.is_action}
    assert known - opened == set()


@pytest.mark.slow
def test_every_page_opens_with_one_sentence(operator: Visitor, ids: dict[str, str]) -> None:
    for path in PATHS:
        page = operator.get(path.format(**ids))
        assert page.count("<h1>") == 1, path
        assert '<p class="sentence"' in page, path
        assert "<script>" not in page


@pytest.mark.slow
def test_every_page_opens_on_an_empty_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    with TestServer(tmp_path_factory.mktemp("empty") / "tidings") as server:
        visitor = Visitor(server.url)
        visitor.sign_in(server.api.key or "")
        for path in PATHS:
            if "{" not in path and not path.endswith(("/served", "/dishes.ready", "/orders", "status=open")):
                assert "<h1>" in visitor.get(path), path
        assert "All is well" in visitor.get()
        assert "Servers on this database" not in visitor.get("/server"), "there is no other on SQLite"


@pytest.mark.slow
def test_a_page_of_something_that_is_not_there_says_so(operator: Visitor) -> None:
    for path in (
        "/endpoints/ep_1",
        "/deliveries/dlv_1",
        "/events/evt_1",
        "/items/nothing",
        "/items/orders/x",
        "/keys/k",
    ):
        assert operator.call("GET", path).status in (404, 422), path
    assert operator.call("GET", "/deliveries?state=wrong").status == 422
    assert operator.call("GET", "/deliveries?cursor=made-up").status == 422


@pytest.mark.slow
def test_a_tenants_key_sees_its_own_alone(
    server: TestServer, api: Api, receiver: Receiver, ids: dict[str, str]
) -> None:
    scopes = ["endpoints:read", "deliveries:read", "events:read", "tenants:read"]
    other = Visitor(server.url)
    other.sign_in(api.post("/v1/keys", {"name": "other", "scopes": scopes, "tenant": "globex"})["key"])
    assert "no endpoint is failing" in other.get()
    for path in ("/endpoints/{bad}", "/deliveries/{delivery}", "/events/{event}", "/tenants/acme"):
        assert other.call("GET", path.format(**ids)).status == 404, path
    for path in ("/keys", "/server", "/links", "/hooks"):
        assert other.call("GET", path).status == 403, path
    assert receiver.url("/bad") not in other.get("/endpoints") + other.get("/deliveries")
    assert f"Nothing matches {ids['bad']}" in other.get(f"/find?q={ids['bad']}")
    assert other.send(f"/endpoints/{ids['bad']}/pause").status == 403


@pytest.mark.slow
def test_a_key_that_may_only_read_sees_no_buttons(server: TestServer, api: Api, ids: dict[str, str]) -> None:
    reader = Visitor(server.url)
    reads = ["endpoints:read", "deliveries:read", "events:read", "items:read", "collections:read"]
    reader.sign_in(api.post("/v1/keys", {"name": "reader", "scopes": reads})["key"])
    for path in ("/endpoints", "/endpoints/{bad}", "/deliveries/{delivery}", "/events/{event}", "/items/orders/{item}"):
        page = reader.get(path.format(**ids)).partition('<main id="main"')[2]
        assert 'method="post"' not in page, path
    assert reader.send(f"/deliveries/{ids['delivery']}/retry").status == 403


@pytest.mark.slow
def test_an_endpoint_is_registered_edited_paused_and_resumed(operator: Visitor, receiver: Receiver) -> None:
    page = operator.act("/endpoints", url=receiver.url("/new"), events="a.b, c.*", tenant="acme")
    assert "The endpoint is registered." in page and "a.b, c.*" in page
    ident = re.findall(r"<code>(ep_\w+)</code>", page)[0]
    assert "Paused" in operator.act(f"/endpoints/{ident}/pause")
    assert "It is paused" in operator.get(f"/endpoints/{ident}")
    assert "Resumed" in operator.act(f"/endpoints/{ident}/resume")
    page = operator.act(f"/endpoints/{ident}/edit", url=receiver.url("/new"), events="a.b", description="New", rate="2")
    assert "2 a second" in page and "New" in page
    reply = operator.send(f"/endpoints/{ident}/edit", url=receiver.url("/new"), events="a.b", rate="fast")
    assert reply.status == 422 and b"rate" in reply.body
    secret = operator.send(f"/endpoints/{ident}/secret")
    assert secret.status == 200 and b"whsec_" in secret.body and "content-encoding" not in secret.headers
    rotated = operator.send(f"/endpoints/{ident}/rotate", hours="1").body.decode()
    assert "whsec_" in rotated and "also signed with the previous secret" in rotated
    assert "A test event is on its way." in operator.act(f"/endpoints/{ident}/test")


@pytest.mark.slow
def test_an_endpoint_leads_to_all_that_is_its_own_and_names_who_changed_it(
    operator: Visitor, api: Api, receiver: Receiver
) -> None:
    key = api.post("/v1/keys", {"name": "Nina", "scopes": ["*"]})["key"]
    made = api.with_key(key).post("/v1/endpoints", {"url": receiver.url("/nina"), "tenant": "acme"})["id"]
    page = operator.get(f"/endpoints/{made}")
    assert "create endpoint, by Nina" in page
    for query in ("", "&amp;state=waiting", "&amp;state=dead", "&amp;state=cancelled"):
        assert f'href="/console/deliveries?endpoint={made}{query}"' in page, query
    assert f'href="/console/acts?about={made}"' in page and 'href="/console/events?tenant=acme"' in page
    acts = operator.get(f"/acts?about={made}")
    assert ">Nina" in acts and f'href="/console/endpoints/{made}">{receiver.url("/nina")[7:]}' in acts
    page = operator.act(f"/endpoints/{made}/probe")
    assert "No deliveries are waiting for this endpoint." in page
    link = operator.get("/links/served")
    assert 'href="/console/deliveries?link=served&amp;state=dead"' in link and "put link, by operator" in link


@pytest.mark.slow
def test_a_form_with_a_wrong_value_stays_as_it_was_filled_in(operator: Visitor, ids: dict[str, str]) -> None:
    where = f"/endpoints/{ids['endpoint']}"
    tried = (
        (f"{where}/replay", {"since": "tomorrow", "until": "", "which": "all"}, "From must be an RFC 3339 time", 422),
        (f"{where}/edit", {"url": "http://x.test/", "events": "a.b", "rate": "fast"}, "rate", 422),
        ("/endpoints", {"url": "nowhere", "events": "a.b", "description": "Kitchen"}, "url", 422),
        ("/events", {"type": "a.b", "subject": "table-7", "data": "{"}, "The data is not JSON", 400),
        ("/keys", {"name": "shop", "scopes": "everything", "tenant": "", "expires": ""}, "scope", 422),
        ("/tenants", {"id": "acme", "name": "Again"}, "acme", 409),
        ("/items/orders", {"f.guest": "Zoe", "f.number": "many"}, "number", 422),
        (f"/items/orders/{ids['item']}/edit", {"f.guest": "Eve", "f.number": "many"}, "number", 422),
    )
    for path, fields, wrong, status in tried:
        reply = operator.send(path, **fields)
        page = reply.body.decode()
        assert reply.status == status, (path, reply.status)
        form = page.partition(f'action="/console{path}" method="post"')[2].partition("</form>")[0]
        assert "<details open>" in page and "Nothing was changed." in page, path
        assert 'role="alert"' in form and wrong in form, (path, form)
        for value in filter(None, fields.values()):
            assert value in form, (path, value)
        assert "/since" not in page and reply.headers["hx-push-url"].startswith("/console/")
    wrong = operator.call("GET", "/deliveries?time__gte=yesterday&endpoint=ep_1").body.decode()
    assert 'href="/console/deliveries">Back, without the filters' in wrong


def test_a_browser_without_scripts_is_asked_before_something_is_done(operator: Visitor, ids: dict[str, str]) -> None:
    where = f"/endpoints/{ids['endpoint']}"
    assert 'name="ask" value="Pause this endpoint? Its deliveries will wait."' in operator.get(where)
    asked = operator.send(f"{where}/pause", ask="Pause this endpoint?", reason="noon").body.decode()
    assert "Pause this endpoint?" in asked and 'name="reason" value="noon"' in asked and 'name="ask"' not in asked
    assert f'href="/console{where}">Back' in asked
    assert "It is paused" not in operator.get(where)


def test_nothing_is_offered_to_be_sent_again_if_nothing_would_be(operator: Visitor, ids: dict[str, str]) -> None:
    fields = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "which": "all"}
    asked = operator.send(f"/endpoints/{ids['endpoint']}/replay", **fields).body.decode()
    assert "None of 0 events would be sent again" in asked and "Send 0 again" not in asked
    assert 'value="2026-01-02T00:00:00Z"' in asked


@pytest.mark.slow
def test_a_range_is_counted_before_it_is_sent_again(operator: Visitor, ids: dict[str, str]) -> None:
    where = f"/endpoints/{ids['endpoint']}/replay"
    [form] = re.findall(
        r'<select[^>]*name="which".*?</select>', operator.get(f"/endpoints/{ids['endpoint']}"), re.DOTALL
    )
    offered = re.findall(r"<option[^>]*>([^<]+)", form)
    assert offered == ["failed", "all"]
    for which in offered:
        asked = operator.send(where, since="2026-01-01T00:00:00Z", which=which)
        assert asked.status == 200 and b"would be sent again" in asked.body
    page = operator.act(where, since="2026-01-01T00:00:00Z", which="all", sure="1")
    assert "The replay has started." in page


@pytest.mark.slow
def test_an_event_is_published_and_sent_to_one_endpoint_again(operator: Visitor, ids: dict[str, str]) -> None:
    page = operator.act("/events", type="dishes.cold", tenant="acme", data='{"price": 1.10}')
    assert "1.10" in page
    assert operator.send("/events", type="dishes.cold", data="{").status == 400
    page = operator.act(f"/events/{ids['event']}/send", endpoint=ids["endpoint"])
    assert "The event is being sent again." in page


@pytest.mark.slow
def test_an_item_is_edited_and_its_event_is_in_its_history(operator: Visitor, api: Api, ids: dict[str, str]) -> None:
    where = f"/items/orders/{ids['item']}"
    before = api.get(f"/v1/items/orders/{ids['item']}")
    page = operator.act(
        f"{where}/edit", **{"f.guest": "Bob", "f.number": "12", "f.vip": "true", "revision": str(before["revision"])}
    )
    assert "Saved." in page and "orders.updated" in page
    after = api.get(f"/v1/items/orders/{ids['item']}")
    assert (after["guest"], after["number"], after["vip"]) == ("Bob", 12, True)
    assert after["extras"] == before["extras"]
    stale = operator.send(f"{where}/edit", **{"f.guest": "Eve", "revision": str(before["revision"])})
    assert stale.status == 412
    wrong = operator.send(f"{where}/edit", **{"f.number": "many"})
    assert wrong.status == 422 and b"number" in wrong.body
    page = operator.act("/items/orders", **{"f.guest": "Zoe", "f.status": "open"})
    ident = re.findall(r"<h1>(itm_\w+)</h1>", page)[0]
    assert "has been deleted" in operator.act(f"/items/orders/{ident}/delete")


@pytest.mark.slow
def test_a_key_is_made_shown_once_and_revoked(operator: Visitor, api: Api) -> None:
    made = operator.send("/keys", name="shop", scopes="events:read", tenant="acme")
    text = re.findall(r"tdk_[\w-]+", made.body.decode())[0]
    assert made.status == 200 and made.headers["cache-control"] == "no-store"
    assert api.with_key(text).call("GET", "/v1/events").status == 200
    ident = re.findall(r"<code>(key_\w+)</code>", made.body.decode())[0]
    assert text not in operator.get(f"/keys/{ident}")
    operator.act(f"/keys/{ident}/revoke")
    assert api.with_key(text).call("GET", "/v1/events").status == 401


@pytest.mark.slow
def test_hooks_links_and_deliveries_are_acted_on(operator: Visitor, api: Api, ids: dict[str, str]) -> None:
    assert "Disabled." in operator.act(f"/hooks/{ids['hook']}/switch", enabled="")
    assert "Enabled." in operator.act(f"/hooks/{ids['hook']}/switch", enabled="1")
    assert "Paused." in operator.act("/links/served/pause")
    assert "Resumed." in operator.act("/links/served/resume")
    assert operator.send(f"/receipts/{ids['receipt']}/retry").status in (409, 422)
    assert "The delivery is being sent again" in operator.act(f"/deliveries/{ids['delivery']}/retry")
    until(lambda: api.get(f"/v1/deliveries/{ids['delivery']}")["state"] in ("dead", "waiting"), "tried")
    assert "Added." in operator.act("/tenants", id="initech", name="Initech")
    made = operator.send("/tenants/initech/portal-link")
    assert made.status == 200 and b"/portal/ptl_" in made.body


@pytest.mark.slow
def test_a_tenant_has_a_page_as_soon_as_anything_names_it(operator: Visitor, api: Api, receiver: Receiver) -> None:
    api.post("/v1/endpoints", {"url": receiver.url("/hooli"), "tenant": "hooli"})
    api.post("/v1/events", {"type": "a.b", "tenant": "pied", "data": {}})
    page = operator.get("/tenants/hooli")
    assert (
        "1 endpoint, 0 failing." in page
        and "This tenant has not been added" in page
        and receiver.url("/hooli")[7:] in page
    )
    assert "0 endpoints" in operator.get("/tenants/pied")
    listed = operator.get("/tenants")
    assert 'href="/console/tenants/hooli"' in listed and 'href="/console/tenants/pied"' in listed
    assert "Make a portal link" in page and operator.send("/tenants/hooli/portal-link").status in (200, 404)
    assert "Added." in operator.act("/tenants", id="pied", name="Pied")
    assert "This tenant has not been added" not in operator.get("/tenants/pied")
    assert operator.call("GET", "/tenants/nobody").status == 404


@pytest.mark.slow
def test_an_exact_id_opens_its_page_and_names_are_found(operator: Visitor, ids: dict[str, str]) -> None:
    folders = {"bad": "endpoints", "delivery": "deliveries", "event": "events", "hook": "hooks", "key": "keys"}
    for kind, folder in (folders | {"form": "forms", "receipt": "receipts", "job": "jobs"}).items():
        for wanted in (ids[kind], ids[kind].partition("_")[2]):
            reply = operator.call("GET", f"/find?q={wanted}")
            assert (reply.status, reply.headers.get("location")) == (303, f"/console/{folder}/{ids[kind]}"), wanted
    assert operator.call("GET", "/find?q=served").headers["location"] == "/console/links/served"
    assert operator.call("GET", "/find?q=acme").headers["location"] == "/console/tenants/acme"
    assert f'href="/console/endpoints/{ids["bad"]}"' in operator.get("/find?q=/bad")
    assert 'href="/console/tenants/acme"' in operator.get("/find?q=acm")
    assert "Nothing matches nonesuch" in operator.get("/find?q=nonesuch")


@pytest.mark.slow
def test_all_that_fit_a_state_alone_can_be_retried_and_what_is_left_out_is_explained(
    operator: Visitor, api: Api, receiver: Receiver
) -> None:
    receiver.answer(400, path="/strict")
    made = {"url": receiver.url("/strict"), "events": ["strict.*"], "give_up_on": [400]}
    strict = api.post("/v1/endpoints", made)["id"]
    api.post("/v1/events", {"type": "strict.one", "data": {}})
    until(lambda: api.get("/v1/deliveries", endpoint=strict, state="dead")["data"], "dead")
    assert "Retry all that match" in operator.get("/deliveries?state=dead")
    asked = operator.send("/deliveries/retry", state="dead").body.decode()
    assert re.search(r"[1-9]\d* deliver(y|ies) would be retried", asked)
    asked = operator.send("/deliveries/retry", endpoint=strict).body.decode()
    assert "Would be retried: 1 that became dead." in asked and "Retry 1 that became dead" in asked
    page = operator.get(f"/endpoints/{strict}")
    assert "1 became dead." in page and "Retry the 1 dead …" in page and "Became dead (1)" in page
    now = operator.get()
    assert now.index("Needs attention") < now.index('class="tiles"') < now.index("Why deliveries failed")
    assert 'href="/console/endpoints?state=failing"' in now and 'name="state" value="dead"' in now
    api.call("POST", f"/v1/endpoints/{strict}:pause", {"reason": "lunch"})
    assert "It is paused: lunch. 1 became dead." in operator.get(f"/endpoints/{strict}")
    asked = operator.send("/deliveries/retry", endpoint=strict, state="dead").body.decode()
    assert "0 deliveries would be retried." in asked and "1 of 1 delivery that became dead is left out" in asked
    assert "Resume it first" in asked
    api.call("POST", f"/v1/endpoints/{strict}:resume", {})
    operator.act("/deliveries/retry", endpoint=strict, state="dead", type="strict.*", sure="1")
    acts = operator.get("/acts?operation=retry_deliveries")
    assert re.search(r'href="/console/jobs/rpl_\w+">[^<]*strict', acts), acts.partition("<main")[2]
    again = {"endpoint": strict, "state": "dead", "sure": "1", "until": "2026-01-01T00:00:00Z"}
    assert "0 of 0 checked, 0 retried" in operator.act("/deliveries/retry", **again)
    receiver.answer(503, path="/later")
    later = api.post("/v1/endpoints", {"url": receiver.url("/later"), "events": ["later.*"]})["id"]
    api.post("/v1/events", {"type": "later.one", "data": {}})
    until(lambda: api.get("/v1/deliveries", endpoint=later, outcome="bad_status")["data"], "tried")
    asked = operator.send("/deliveries/retry", endpoint=later, outcome="bad_status").body.decode()
    assert "Would be retried: 1 that is waiting." in asked and "None of the matching deliveries are dead." in asked


def test_a_job_says_how_far_it_came_and_its_facts_stay_with_its_headline(
    operator: Visitor, ids: dict[str, str]
) -> None:
    until(lambda: "It is done" in operator.get(f"/jobs/{ids['job']}"), "done")
    page = operator.get(f"/jobs/{ids['job']}")
    assert re.search(r"It is done: (\d+) of \1 checked, \d+ sent again\.", page), page
    assert '<div data-live="list"><!--live:list-->' in page, "the state is drawn again with the headline"


def test_why_deliveries_are_left_out_of_a_retry_is_counted() -> None:
    def one(because: str | None = None, held: bool = False, attempts: int = 0) -> Any:
        return SimpleNamespace(waiting_because=because, held=held, attempts=attempts)

    waiting = [*[one()] * 9, *[one("order", held=True)] * 4, *[one(attempts=1)] * 15]
    assert left_out_in_words(waiting) == (
        "9 are next in line for their first attempt and 4 are waiting behind an earlier one. They are sent without "
        "a retry"
    )
    assert left_out_in_words([one("paused", attempts=3)]).endswith(
        "disabled. It is sent without a retry; resuming it sends its waiting deliveries"
    )
    assert left_out_in_words([one(attempts=1)]) == ""


def test_a_page_counts_as_one_call_of_its_key(server: TestServer, api: Api) -> None:
    limited = Visitor(server.url)
    key = api.post("/v1/keys", {"name": "few", "scopes": ["*"], "limits": [{"calls": 2, "seconds": 3600}]})["key"]
    limited.sign_in(key)
    limited.get()
    limited.get("/endpoints")
    assert limited.call("GET", "/events").status == 429


@pytest.mark.slow
def test_the_pages_of_a_list_lead_on_and_back(operator: Visitor, api: Api) -> None:
    events = [{"type": "turned.over", "data": {"n": number}} for number in range(120)]
    api.post("/v1/events:batch", {"events": events})

    def link(page: str, said: str) -> str:
        found = re.search(rf'<a[^>]*href="/console([^"]*)"[^>]*>{said}</a>', page)
        return found[1].replace("&amp;", "&") if found else ""

    first = operator.get("/events?type=turned.over")
    second = operator.get(link(first, "Older"))
    third = operator.get(link(second, "Older"))
    assert link(first, "Newer") == link(third, "Older") == "" and link(third, "Newest") == "/events?type=turned.over"
    shown = [set(re.findall(r"evt_\w+", page)) for page in (first, second, third)]
    assert not shown[0] & shown[1] and not shown[1] & shown[2] and len(set.union(*shown)) == 120
    again = operator.get(link(third, "Newer"))
    assert set(re.findall(r"evt_\w+", again)) == shown[1]
    assert set(re.findall(r"evt_\w+", operator.get(link(again, "Newer")))) == shown[0]

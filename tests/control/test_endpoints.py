"""Endpoints: what is refused and where, and what happens to what waits."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tests.control.world import World
from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.edit import valid_secrets
from tidings.model.errors import Conflict, Invalid, NotFound, Stale
from tidings.model.link import Batch, Endpoint, Pacing, Webhook
from tidings.model.moment import DAY, HOUR
from tidings.web.wire.bodies import body

URL = "https://example.com/hook"


def refused(world: World, **form: Any) -> dict[str | None, str]:
    """Where and why a form is refused."""
    with pytest.raises(Invalid) as wrong:
        world.run(world.edits.create(NewEndpoint(**{"url": "http://127.0.0.1:9/", **form})))
    return {place.pointer: place.code for place in wrong.value.errors}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"url": "ftp://example.com"}, {"/url": "url"}),
        ({"url": "http://user:pw@example.com"}, {"/url": "url"}),
        ({"url": "http://10.0.0.1/"}, {"/url": "refused_address"}),
        ({"url": "http://[::1]/"}, {"/url": "refused_address"}),
        ({"url": "http://2130706434.example.com:0/"}, {"/url": "url"}),
        ({"url": "http://169.254.169.254/latest"}, {"/url": "refused_address"}),
        ({"events": ()}, {"/events": "event_pattern"}),
        ({"events": ("a.*", "a*b")}, {"/events/1": "event_pattern"}),
        ({"filter": {"nonsense": 1}}, {"/filter/nonsense": "filter"}),
        ({"filter": {"data": {"a": {"$gt": 1, "$no": 2}}}}, {"/filter/data/a/$no": "filter"}),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, {"/headers/X-A": "control_character"}),
        ({"headers": {"X A": "a"}}, {"/headers/X A": "bad_name"}),
        ({"headers": {"X-A\r\n": "a"}}, {"/headers/X-A\r\n": "bad_name"}),
        ({"headers": {"Webhook-Id": "a"}}, {"/headers/Webhook-Id": "reserved_name"}),
        ({"headers": {"HOST": "a"}}, {"/headers/HOST": "reserved_name"}),
        ({"headers": {"Content-Length": "1"}}, {"/headers/Content-Length": "reserved_name"}),
        ({"headers": {"X-A": "1", "x-a": "2"}}, {"/headers/x-a": "duplicate_key"}),
        ({"headers": {"X-A": "***"}}, {"/headers/X-A": "unknown_value"}),
        ({"headers": {"X-A": "\u00e4"}}, {"/headers/X-A": "not_ascii"}),
        ({"headers": {"X-A": "a" * 4097}}, {"/headers/X-A": "too_long"}),
        ({"headers": {f"X-{n}": "a" for n in range(21)}}, {"/headers": "too_long"}),
        ({"rate": 0.0}, {"/rate": "out_of_range"}),
        ({"rate": -1.0}, {"/rate": "out_of_range"}),
        ({"max_in_flight": 0}, {"/max_in_flight": "out_of_range"}),
        ({"max_in_flight": 1001}, {"/max_in_flight": "out_of_range"}),
        ({"order_max_age_seconds": 604_801}, {"/order_max_age_seconds": "out_of_range"}),
        ({"batch": Batch(max_events=101)}, {"/batch/max_events": "out_of_range"}),
        ({"batch": Batch(max_ms=0)}, {"/batch/max_ms": "out_of_range"}),
        ({"batch": Batch(), "order": "subject"}, {"/batch": "not_with_order"}),
        ({"fields": ()}, {"/fields": "out_of_range"}),
        ({"timeout_seconds": 31.0}, {"/timeout_seconds": "out_of_range"}),
        ({"timeout_seconds": 0.05}, {"/timeout_seconds": "out_of_range"}),
        ({"retry_delays_seconds": ()}, {"/retry_delays_seconds": "retry_delays"}),
        ({"retry_delays_seconds": (0.0, -5.0)}, {"/retry_delays_seconds/1": "retry_delays"}),
        ({"description": "x" * 1001}, {"/description": "too_long"}),
        ({"secret": "short"}, {"/secret": "secret"}),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()}, {"/secret": "secret"}),
        ({"tenant": "*"}, {"/tenant": "not_permitted"}),
        ({"tenant": ""}, {"/tenant": "tenant"}),
        ({"tenant": "a b"}, {"/tenant": "tenant"}),
        ({"rate": 0.0, "max_in_flight": 0}, {"/rate": "out_of_range", "/max_in_flight": "out_of_range"}),
    ],
)
@pytest.mark.few(12)
def test_wrong_values_are_refused_with_their_location(world: World, form: Any, expected: Any) -> None:
    assert refused(world, **form) == expected
    assert world.count("link") == 0


def test_a_url_is_enough(world: World) -> None:
    made = world.endpoint()
    assert made == world.now(made) and made.mode == "enabled" and made.events == ("*",)
    (secret,) = made.what.sealed.secrets
    assert secret.text.startswith("whsec_") and len(base64.b64decode(secret.text[6:])) == 32


@pytest.mark.parametrize(
    ("found", "operator", "tenant"),
    [
        (["10.1.2.3"], True, True),
        (["10.1.2.3", "::1"], True, True),
        (["10.1.2.3", "93.184.216.34"], False, False),
        (["127.0.0.1"], False, False),
        # A name may be registered before it exists; but a tenant must not tell it from one that leads inwards.
        ("unknown", False, True),
        ("silent", False, False),
        ("failed", False, False),
    ],
)
@pytest.mark.few(3)
def test_a_name_is_looked_up_when_the_endpoint_is_made(world: World, found: Any, operator: bool, tenant: bool) -> None:
    endpoints = world.with_names({"example.com": found})
    for caller, refused in ((None, operator), ("acme", tenant)):
        if not refused:
            world.run(endpoints.create(NewEndpoint(url=URL), caller=caller))
            continue
        with pytest.raises(Invalid) as wrong:
            world.run(endpoints.create(NewEndpoint(url=URL), caller=caller))
        assert wrong.value.errors[0].code == "refused_address"
        if caller is None:
            assert "10.1.2.3" in wrong.value.detail and "TIDINGS_ALLOW_ADDRESSES" in wrong.value.detail


def test_a_tenant_cannot_tell_a_private_name_from_one_that_does_not_exist(world: World) -> None:
    endpoints = world.with_names({"wiki.corp": ["10.1.2.3"], "nothing.corp": "unknown"})
    made = world.endpoint()
    told = set()
    for host in ("wiki.corp", "nothing.corp"):
        form = EndpointBody(url=f"https://{host}/hook")
        for job in (
            endpoints.create(NewEndpoint(url=form.url), caller="acme"),
            endpoints.edit(made, {"url": form.url}, lambda document: form, None, caller="acme"),
        ):
            with pytest.raises(Invalid) as wrong:
                world.run(job)
            told.add((wrong.value.detail, *((place.pointer, place.code) for place in wrong.value.errors)))
    assert len(told) == 1
    assert "corp" not in str(told) and "10.1" not in str(told)


def edit(world: World, endpoint: Endpoint, patch: dict[str, Any], expected: set[int] | None = None) -> Endpoint:
    import msgspec

    def read(document: Any) -> EndpointBody:
        return body.read(msgspec.json.encode(document), EndpointBody)[0]

    return world.writer.wait(world.run(world.edits.edit(endpoint, patch, read, expected)))


def test_a_merge_patch_changes_what_it_names(world: World) -> None:
    made = world.endpoint(headers={"X-A": "1", "X-B": "2"}, rate=5.0, filter={"data": {"a": 1, "b": 2}})
    edited = edit(world, made, {"headers": {"X-A": None, "X-C": "3"}, "rate": None, "filter": {"data": {"a": None}}})
    assert edited.what.sealed.headers == {"X-B": "2", "X-C": "3"}
    assert (edited.pacing.rate, edited.filter) == (None, {"data": {"b": 2}})
    assert edited.what.url == made.what.url and edited.revision == 2
    assert edited.what.sealed.secrets == made.what.sealed.secrets
    assert edit(world, edited, {"headers": {"x-b": "***", "X-B": None}}).what.sealed.headers == {"X-C": "3", "x-b": "2"}
    assert edit(world, edited, {"order": "all"}).pacing.order == "all"
    assert edit(world, edited, {"order": None}).pacing.order == "none"


def test_an_edit_that_changes_nothing_keeps_the_revision(world: World) -> None:
    made = world.endpoint(rate=5.0)
    assert edit(world, made, {"rate": 5}).revision == 1


def test_an_outdated_revision_is_refused(world: World) -> None:
    made = world.endpoint()
    edit(world, made, {"rate": 1}, {1})
    with pytest.raises(Stale):
        edit(world, made, {"rate": 2}, {1})
    with pytest.raises(Stale):
        world.writer.wait(world.edits.delete(made, {1}))
    assert world.now(made).pacing.rate == 1


def test_two_edits_in_one_group_both_apply(world: World) -> None:
    made = world.endpoint()
    jobs = []
    for patch in ({"rate": 7}, {"max_in_flight": 9}):
        import msgspec

        def read(document: Any) -> EndpointBody:
            return body.read(msgspec.json.encode(document), EndpointBody)[0]

        jobs.append(world.run(world.edits.edit(made, patch, read, None)))

    def both(db: Any) -> None:
        for job in jobs:
            job(db)

    world.writer.wait(both)
    now = world.now(made)
    assert (now.pacing.rate, now.pacing.max_in_flight, now.revision) == (7, 9, 3)


def test_a_rotation_keeps_the_secret_before_until_the_overlap_is_over(world: World) -> None:
    made = world.endpoint()
    rotated = world.writer.wait(world.edits.rotate(made, None, None))
    first, second = (secret.text for secret in rotated.what.sealed.secrets)
    assert second == made.what.sealed.secrets[0].text and first != second
    now = world.clock.now()
    assert [secret.text for secret in valid_secrets(rotated, now + DAY - 1)] == [first, second]
    assert [secret.text for secret in valid_secrets(rotated, now + DAY)] == [first]
    at_once = world.writer.wait(world.edits.rotate(made, None, 0))
    assert len(at_once.what.sealed.secrets) == 1
    with pytest.raises(Invalid):
        world.edits.rotate(made, None, 7 * 86_400 + 1)


def test_a_rotation_stays_with_the_kind_of_key(world: World) -> None:
    made = world.endpoint(secret="whsk_" + base64.b64encode(b"s" * 32).decode())
    assert world.writer.wait(world.edits.rotate(made, None, 60)).what.sealed.secrets[0].text.startswith("whsk_")


def test_pause_and_resume(world: World) -> None:
    made = world.endpoint()
    paused = world.writer.wait(world.edits.pause(made, "maintenance"))
    assert (paused.mode, paused.reason) == ("paused", "maintenance")
    with pytest.raises(Conflict):
        world.writer.wait(world.edits.test(made))
    resumed = world.writer.wait(world.edits.resume(made))
    assert (resumed.mode, resumed.reason, resumed.revision) == ("enabled", None, 3)


@pytest.mark.slow
def test_missed_deliveries_can_be_cancelled(world: World) -> None:
    made, other = world.endpoint(), world.endpoint()
    world.writer.wait(world.edits.pause(made, None))
    world.publish(count=30)
    numbers = [row.number for row in world.list(links=frozenset([made.num]))]
    world.attempt(numbers[0], "delivered", "ok")
    world.attempt(numbers[1], "waiting", due=world.clock.now() + HOUR)
    assert world.run(world.cancelling.cancel_waiting(world.now(made))) == 29
    assert world.states(made) == {"delivered": 1, "cancelled": 29}
    assert world.states(other) == {"waiting": 30}
    with pytest.raises(Conflict):
        world.run(world.cancelling.cancel_waiting(world.now(other)))


def test_a_test_goes_to_its_endpoint_only(world: World) -> None:
    made, other = world.endpoint(events=("never.this",)), world.endpoint()
    event = world.writer.wait(world.edits.test(made))
    (row,) = world.list()
    assert (row.link, row.event_id, row.event_type) == (made.num, event.id, "endpoint.test")
    assert world.states(other) == {}


def test_a_deleted_endpoint_is_gone(world: World) -> None:
    made = world.endpoint()
    world.writer.wait(world.edits.delete(made))
    assert made.id not in world.catalog.now.endpoints_by_id
    with pytest.raises(NotFound):
        world.writer.wait(world.edits.pause(made, None))
    world.publish()
    assert world.states(made) == {}


@pytest.mark.slow
def test_endpoints_per_tenant_are_limited_and_the_operators_are_not(world: World) -> None:
    endpoints = world.with_names({}, most_per_tenant=2)

    def create(tenant: str | None) -> Endpoint:
        form = NewEndpoint(url="http://127.0.0.1:9/", tenant=tenant)
        return world.writer.wait(world.run(endpoints.create(form, operator=True)))

    first = create("acme")
    create("acme")
    with pytest.raises(Conflict) as refused:
        create("acme")
    assert refused.value.code == "too_many_endpoints" and "max_endpoints_per_tenant" in refused.value.detail
    for tenant in (None, None, None, "*", "*", "*", "other"):
        create(tenant)
    world.writer.wait(endpoints.delete(first))
    create("acme")


def test_an_option_of_every_link_has_one_type_and_one_default() -> None:
    """Owners write in one body (control/endpoints/body.py) what is kept in parts (model/link.py)."""
    written = {field.name: field for field in msgspec.structs.fields(EndpointBody)}
    for part in (Pacing, Webhook):
        for kept in msgspec.structs.fields(part):
            if kept.name != "sealed":
                its = written[kept.name]
                assert (its.type, its.default, its.default_factory) == (kept.type, kept.default, kept.default_factory)

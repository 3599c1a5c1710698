"""`keep`: what a call remembers of an answer for its subject, and what templates see as `mine`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import Reaction, Received, until

CREATE = {"via": "crm", "post": "/contacts", "json": {"name": "{{ data.name }}"}}
CHANGE = {"via": "crm", "patch": "/contacts/{{ mine.id }}", "json": {"name": "{{ data.name }}"}}
GONE = {"via": "crm", "delete": "/contacts/{{ mine.id }}"}
KEEP = {"id": "{{ body.id }}", "etag": "{{ headers.etag }}"}


@pytest.fixture(autouse=True)
def crm(calls: Calls) -> None:
    """A system that gives its own ids."""
    calls.connection("crm")
    made: list[str] = []

    def answer(received: Received) -> Reaction | None:
        if received.method != "POST":
            return None
        made.append(f"x-{len(made) + 1}")
        body = json.dumps({"id": made[-1], "n": 2**60})
        return Reaction(
            status=201, body=body.encode(), headers={"Content-Type": "application/json", "ETag": f'"{len(made)}"'}
        )

    calls.peer.answer_by(answer)


def links(calls: Calls, **parts: Any) -> None:
    common: dict[str, Any] = {"order": "subject", **parts}
    calls.link("make", "contact.created", CREATE, keep=KEEP, **common)
    calls.link("change", "contact.updated", CHANGE, **common)
    calls.link("drop", "contact.deleted", GONE, keep={"id": None, "etag": None}, **common)


def publish(calls: Calls, kind: str, subject: str | None = "c-1", **more: Any) -> str:
    return calls.api.publish(f"contact.{kind}", {"name": "Ann"}, **({"subject": subject} if subject else {}), **more)


def kept(calls: Calls, subject: str = "c-1", **query: Any) -> Any:
    reply = calls.api.call("GET", f"/v1/links/change/kept?subject={subject}")
    return reply.json.get("values")


@pytest.mark.slow
def test_the_other_systems_id_is_remembered_for_all_links_of_the_connection(calls: Calls) -> None:
    links(calls)
    events = []
    for kind, name in zip(("created", "updated", "deleted"), ("make", "change", "drop"), strict=True):
        events.append((publish(calls, kind), name))
    assert [calls.ended(*each)["state"] for each in events] == ["delivered"] * 3
    events += [(publish(calls, "created"), "make"), (publish(calls, "updated"), "change")]
    assert [calls.ended(*each)["state"] for each in events] == ["delivered"] * 5
    assert [f"{each.method} {each.path}" for each in calls.peer.requests()] == [
        "POST /api/contacts",
        "PATCH /api/contacts/x-1",
        "DELETE /api/contacts/x-1",
        "POST /api/contacts",
        "PATCH /api/contacts/x-2",
    ]
    assert kept(calls) == {"id": "x-2", "etag": '"2"'}
    (attempt,) = calls.ended(*events[0])["attempts"]
    assert attempt["reason"] == "Answered 201. Kept etag, id."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "path", "values"),
    [
        (b'{"id": 18446744073709551615}', "/api/contacts/18446744073709551615", {"id": 18446744073709551615}),
        (b'{"id": "a\\u0000b"}', "/api/contacts/a%EF%BF%BDb", {"id": "a\ufffdb"}),
    ],
    ids=["a number of 64 bits without a sign", "a NUL"],
)
def test_an_id_that_not_every_parser_reads_is_kept(calls: Calls, answer: bytes, path: str, values: Any) -> None:
    calls.peer.answer_by(None)
    calls.peer.answer(Reaction(status=201, body=answer, headers={"Content-Type": "application/json"}))
    links(calls)
    calls.ended(publish(calls, "created"), "make")
    calls.ended(publish(calls, "updated"), "change")
    assert calls.peer.requests()[-1].path == path
    assert kept(calls) == values


@pytest.mark.slow
def test_it_outlives_restarts_edits_and_links(calls: Calls) -> None:
    links(calls)
    calls.ended(publish(calls, "created"), "make")
    calls.server.restart()
    calls.api.delete("/v1/links/make")
    calls.link("change", "contact.updated", {**CHANGE, "query": {"v": "2"}})
    calls.ended(publish(calls, "updated"), "change")
    assert calls.peer.requests()[-1].path == "/api/contacts/x-1?v=2"


@pytest.mark.slow
def test_each_subject_and_tenant_has_its_own(calls: Calls) -> None:
    links(calls, tenant="*")
    for tenant in ("acme", "bolt"):
        calls.api.post("/v1/tenants", {"id": tenant, "name": tenant})
        calls.ended(publish(calls, "created", tenant=tenant), "make")
    calls.ended(publish(calls, "created", "c-2"), "make")
    calls.ended(publish(calls, "updated", tenant="bolt"), "change")
    assert calls.peer.requests()[-1].path == "/api/contacts/x-2"
    assert calls.api.get("/v1/links/make/kept?subject=c-1&tenant=acme")["values"]["id"] == "x-1"
    assert calls.api.call("GET", "/v1/links/make/kept?subject=c-1").status == 404


@pytest.mark.slow
def test_order_names_the_subject_too(calls: Calls) -> None:
    calls.link(
        "make", "contact.created", CREATE, keep={"id": "{{ body.id }}", "n": "{{ body.n }}"}, order="{{ data.name }}"
    )
    calls.ended(publish(calls, "created", None), "make")
    assert calls.api.get("/v1/links/make/kept?subject=Ann")["values"] == {"id": "x-1", "n": 2**60}


@pytest.mark.slow
def test_what_was_kept_can_be_forgotten(calls: Calls) -> None:
    links(calls)
    for subject in ("c-1", "c-2", "c-3"):
        calls.ended(publish(calls, "created", subject), "make")
    done = calls.api.post("/v1/links/change:reset", {"kept": True, "subject": "c-1"})
    assert (done["kept"], kept(calls), kept(calls, "c-2")["id"]) == (1, None, "x-2")
    lost = calls.ended(publish(calls, "updated"), "change")
    assert (lost["state"], lost["last"]["outcome"]) == ("dead", "template_failed")
    assert calls.api.post("/v1/links/change:reset", {"kept": True})["kept"] == 2
    assert calls.api.call("POST", "/v1/links/change:reset", {"subject": "c-1"}).status == 422
    assert calls.api.call("POST", "/v1/links/change:reset").json["code"] == "no_emit"


@pytest.mark.slow
def test_what_cannot_be_kept_is_said_and_the_call_counts(calls: Calls) -> None:
    calls.link("make", "contact.created", CREATE, keep={"id": "{{ body.id * 3000 }}"})
    calls.link("big", "contact.created", {**CREATE, "post": "/big"}, keep={"id": "{{ [body.id] * 2000 }}"})
    calls.link("none", "contact.created", {**CREATE, "post": "/none"}, keep={"id": "{{ body.nothing }}"})
    event = publish(calls, "created")
    for name, said in (
        ("make", "Nothing was kept."),
        ("big", "the maximum is 4,096"),
        ("none", "There was nothing to keep."),
    ):
        done = calls.ended(event, name)
        assert done["state"] == "delivered" and said in done["attempts"][0]["reason"], done
    without = calls.ended(publish(calls, "created", None), "make")
    assert (without["state"], without["last"]["outcome"]) == ("dead", "template_failed")
    assert "no subject" in without["attempts"][0]["reason"]


@pytest.mark.slow
def test_a_retry_and_once_keep_too(calls: Calls) -> None:
    calls.link("make", "contact.created", CREATE, keep=KEEP, once="{{ data.name }}")
    event = publish(calls, "created")
    done = calls.ended(event, "make")
    calls.api.post(f"/v1/deliveries/{done['id']}:retry")
    until(lambda: len(calls.ended(event, "make")["attempts"]) == 2, "it is tried again")
    assert calls.ended(event, "make")["last"]["outcome"] == "skipped"
    assert calls.api.get("/v1/links/make/kept?subject=c-1")["values"]["id"] == "x-1"


@pytest.mark.slow
def test_links_test_shows_a_call_with_what_was_kept(calls: Calls) -> None:
    links(calls)
    calls.ended(publish(calls, "created"), "make")
    event = {"type": "contact.updated", "subject": "c-1", "data": {"name": "Ann"}}
    tried = calls.api.post("/v1/links/change:test", {"event": event})
    assert tried["call"]["url"] == calls.peer.url("/api/contacts/x-1")
    tried = calls.api.post("/v1/links/change:test", {"event": {**event, "subject": "c-9"}})
    assert (tried["outcome"], tried["call"]) == ("template_failed", None)


@pytest.mark.parametrize(
    ("parts", "place", "said"),
    [
        ({"keep": {"id": "{{ nothing.id }}"}}, "/keep/id", "There is no nothing here."),
        ({"keep": {}}, "/keep", "1 to 20 names"),
        ({"keep": {"a b": "x"}}, "/keep/a b", "begin with a letter"),
        ({"keep": KEEP, "split": "{{ data.a }}"}, "/keep", "leave `keep` out"),
        (
            {"keep": KEEP, "call": None, "mail": {"via": "m", "to": "a@b.c", "subject": "s", "text": "t"}},
            "/keep",
            "so it requires `call`",
        ),
        ({"if": "{{ mine.id }}"}, "/if", "There is no mine here."),
    ],
)
@pytest.mark.few(2)
def test_a_keep_that_cannot_be_is_refused(calls: Calls, parts: dict[str, Any], place: str, said: str) -> None:
    reply = calls.api.call("PUT", "/v1/links/x", {"when": {"event": "a"}, "call": CREATE, **parts})
    found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
    assert said in found[place], found

"""Any sequence of operations on items equals a dict, and every change has one event: on every engine."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.examples import examples
from tests.items.collections import declare
from tests.items.model import DEFAULTS, FIELDS, Model, Refused
from tidings.model.collection import Collection, Field, OwnEvent
from tidings.testing import Api, ApiReply, TestServer

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", examples(15)))
"""More of them for a long look by hand."""
STEPS = 30
BY_HAND = [Phase.shrink] if "MACHINE_EXAMPLES" in os.environ else []
_numbers = itertools.count(1)
Fields = dict[str, Any]

CALLERS = ("operator", "a", "b")
IDS = st.sampled_from(["x", "y", "A.b-c_9", "0", "z" * 64])
TEXTS = st.one_of(
    st.sampled_from(
        ["", "Water the plants", "water", "Über Straße", "ﬁne ﬂour", "日本 語", "'\"%_\\", "\U0010ffff", "😀 a"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
DATES = st.one_of(st.sampled_from(["0001-01-01", "9999-12-31", "2024-02-29"]), st.dates().map(str))
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.one_of(st.just(UTC), ZONES))  # noqa: DTZ001
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 1e300, -1e-300, 5e-324, 1.7976931348623157e308]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
)
PIECES = st.one_of(st.integers(0, 3), st.sampled_from([2**63 - 1, -(2**63), 2.0, -0.0]))
LEAVES = st.sampled_from(["", "x", "ü", True, False, 2, 3, None])
OBJECTS = st.dictionaries(
    st.sampled_from(["a", "b", "c/~"]), st.one_of(LEAVES, st.dictionaries(st.sampled_from("ab"), LEAVES, max_size=2))
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "email": st.sampled_from(["a@b.example", "c@d.example", "e@f.example"]),
    "name": TEXTS,
    "title": TEXTS,
    "done": st.booleans(),
    "due": DATES,
    "at": TIMES.map(lambda at: at.isoformat()),
    "price": FLOATS,
    "pieces": PIECES,
    "priority": st.sampled_from(["low", "high"]),
    "owner": IDS,
    "place": OBJECTS,
    "lines": st.lists(LEAVES, max_size=3),
}
TYPES = ("string", "boolean", "date", "datetime", "number", "integer", "enum", "reference", "object", "array")
KINDS = dict(zip(FIELDS["things"], TYPES, strict=True)) | {"email": "string", "name": "string"}
ORDERED = ("title", "due", "at", "price", "pieces")
SORTS = ("created", "title", "done", "due", "at", "price", "pieces", "priority", "owner")


def stored(name: str, value: Any) -> Any:
    """A value as answers show it."""
    if value is None or name not in ("at", "price", "pieces"):
        return value
    if name == "price":
        return float(value) + 0.0
    if name == "pieces":
        return int(value)
    at = datetime.fromisoformat(value).astimezone(UTC)
    return at.isoformat(timespec="milliseconds" if at.microsecond % 1000 == 0 else "microseconds").replace(
        "+00:00", "Z"
    )


@st.composite
def data(draw: st.DrawFn, kind: str, *, whole: bool) -> Fields:
    """Some fields of an item; `whole`: mostly with what is required."""
    names = draw(st.lists(st.sampled_from(FIELDS[kind]), max_size=4, unique=True))
    if whole and draw(st.integers(0, 9)):
        names.insert(0, FIELDS[kind][0])
    found = {name: draw(st.none() if draw(st.integers(0, 7)) == 0 else VALUES[name]) for name in names}
    if draw(st.integers(0, 19)) == 0:
        found[draw(st.sampled_from(["bogus", "id", "revision", "done" if kind == "things" else "name"]))] = "wrong"
        if "name" in found and kind == "people":
            found["name"], found["bogus"] = None, "wrong"
    return found


@st.composite
def filters(draw: st.DrawFn) -> tuple[str, str, Any]:
    """One filter of things."""
    name = draw(st.sampled_from([*SORTS[1:], "q"]))
    if name == "q":
        return "title", "q", draw(st.sampled_from(["water", "w", "str ub", "日", "fine fl", "a"]))
    ops = ["eq", "ne", "in", "nin", "exists"]
    ops += ["gt", "gte", "lt", "lte"] if name in ORDERED else []
    op = draw(st.sampled_from([*ops, *(["starts_with", "contains"] if name == "title" else [])]))
    if op == "exists":
        return name, op, draw(st.booleans())
    values = VALUES[name].map(lambda value: stored(name, value))
    if name == "pieces":
        values = st.integers(-1, 4)
    if name == "title":
        values = values.filter(lambda text: text and "," not in text)
    if op in ("in", "nin"):
        return name, op, draw(st.lists(values, min_size=1, max_size=3))
    return name, op, draw(values)


def ends_before_it_begins(asked: list[tuple[str, str, Any]]) -> bool:
    """Whether they are the two ends of a range of times that holds none."""
    if len(asked) < 2 or asked[0][0] != asked[1][0] or asked[0][0] not in ("due", "at"):
        return False
    (_, low, first), (_, high, last) = sorted(asked, key=lambda each: each[1][0])  # gt before lt
    if low[:2] != "gt" or high[:2] != "lt" or None in (first, last):
        return False
    begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    return begin > end or (begin == end and (low, high) != ("gte", "lte"))


def written(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


class Machine(RuleBasedStateMachine):
    """Operations as a caller sends them, and the same ones on the model."""

    server: TestServer
    keys: dict[str, tuple[str, str]]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        number = next(_numbers)
        self.names = {"people": f"people{number}", "things": f"things{number}"}
        self.last: tuple[Api, str, str, Any, dict[str, str], ApiReply] | None = None
        self.is_restarted = False
        for collection in self._collections():
            declare(self.server, collection)

    def _collections(self) -> list[Collection]:
        people = [
            Field(name="email", type="string", required=True, unique=True, format="email"),
            Field(name="name", type="string"),
        ]
        things = []
        for name in FIELDS["things"]:
            is_listed = name in SORTS
            more: Fields = {"default": DEFAULTS["things"].get(name), "unique": name == "pieces"}
            more |= {"values": ("low", "high")} if name == "priority" else {}
            more |= {"to": self.names["people"]} if name == "owner" else {}
            more |= {"required": True, "searchable": True} if name == "title" else {}
            things.append(Field(name=name, type=KINDS[name], filterable=is_listed, sortable=is_listed, **more))  # type: ignore[arg-type]
        completed = OwnEvent(name="completed", when="done becomes true")
        return [
            Collection(name=self.names["people"], fields=tuple(people)),
            Collection(name=self.names["things"], fields=tuple(things), events=(completed,)),
        ]

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(source=st.data(), caller=st.sampled_from(CALLERS), tenant=st.sampled_from([None, "", "a", "b"]))
    def change(self, source: st.DataObject, caller: str, tenant: str | None) -> None:
        kind = source.draw(st.sampled_from(["people", "things", "things"]))
        verb = source.draw(st.sampled_from(["create", "put", "put", "edit", "edit", "delete"]))
        op = self._operation(source, kind, verb)
        tenant = tenant if caller == "operator" else caller
        method, path = {
            "create": ("POST", ""),
            "put": ("PUT", f"/{op.get('id')}"),
            "edit": ("PATCH", f"/{op.get('id')}"),
            "delete": ("DELETE", f"/{op.get('id')}"),
        }[verb]
        headers = {"Idempotency-Key": f"k{next(_numbers)}"} if source.draw(st.booleans()) else {}
        if op.get("revision") is not None:
            headers["If-Match"] = f'"{op["revision"]}"'
        if op.get("unless"):
            headers["If-None-Match"] = "*"
        target = f"/v1/items/{self.names[kind]}{path}" + (
            f"?tenant={tenant}" if caller == "operator" and tenant is not None else ""
        )
        api = self._api(caller)
        reply = api.call(method, target, op.get("data"), headers)
        if verb == "create":
            op = {**op, "id": reply.json.get("id", "none")}
        self._compare(kind, caller, tenant, op, reply)
        if "Idempotency-Key" in headers and reply.status < 300:
            self.last = (api, method, target, op.get("data"), headers, reply)

    @rule(source=st.data(), caller=st.sampled_from(CALLERS), tenant=st.sampled_from([None, "", "a"]))
    def batch(self, source: st.DataObject, caller: str, tenant: str | None) -> None:
        kind = source.draw(st.sampled_from(["people", "things"]))
        verbs = source.draw(st.lists(st.sampled_from(["create", "put", "edit", "delete"]), min_size=1, max_size=5))
        ops = [self._operation(source, kind, verb, batch=True) for verb in verbs]
        tenant = tenant if caller == "operator" else caller
        target = f"/v1/items/{self.names[kind]}:batch" + (
            f"?tenant={tenant}" if caller == "operator" and tenant is not None else ""
        )
        api, headers = self._api(caller), {"Idempotency-Key": f"k{next(_numbers)}"}
        reply = api.call("POST", target, {"operations": ops}, headers)
        trial, results = self.model.snapshot(), []
        trial.in_batch = True
        try:
            for op in ops:
                results.append((trial.apply(kind, caller, tenant, self._as_stored(op)), trial.snapshot()))
            trial.end_batch(kind)
        except Refused as refused:
            assert reply.status == refused.status, (ops, reply.body)
            first = reply.json["errors"][0]
            if len(results) < len(ops):
                assert "tenant" in first.get("parameter", "") or first["pointer"].startswith(
                    f"/operations/{len(results)}"
                )
            return
        assert reply.status == 200, (ops, reply.body)
        for result, ((status, place), then) in zip(reply.json["results"], results, strict=True):
            assert result["status"] == status
            assert (result["item"] is None) if status == 204 else self._is_item(result["item"], place, then)
        self.model = trial
        self.last = (api, "POST", target, {"operations": ops}, headers, reply)

    @rule(source=st.data(), caller=st.sampled_from(CALLERS), tenant=st.sampled_from([None, "", "b"]))
    def get(self, source: st.DataObject, caller: str, tenant: str | None) -> None:
        kind, ident = source.draw(st.sampled_from(["people", "things"])), self._id(source)
        said: Fields = {"tenant": tenant} if caller == "operator" and tenant is not None else {}
        reply = self._api(caller).call("GET", f"/v1/items/{self.names[kind]}/{ident}", **said)
        try:
            place = self.model.place(kind, tenant if caller == "operator" else caller, ident)
        except Refused as refused:
            assert reply.status == refused.status
        else:
            assert reply.status == 200 and self._is_item(reply.json, place, self.model)

    @rule(
        caller=st.sampled_from(CALLERS),
        asked=st.lists(filters(), max_size=2, unique_by=lambda each: each[:2]),
        sort=st.lists(st.sampled_from(SORTS), min_size=1, max_size=3, unique=True),
        downs=st.lists(st.booleans(), min_size=3, max_size=3),
        limit=st.integers(1, 5),
    )
    def list_things(
        self, caller: str, asked: list[tuple[str, str, Any]], sort: list[str], downs: list[bool], limit: int
    ) -> None:
        order = [f"{'-' if down else ''}{name}" for name, down in zip(sort, downs, strict=False)]
        query: Fields = {"sort": ",".join(order), "limit": limit}
        for name, op, value in asked:
            # A value of a list is a parameter, as a text may hold commas.
            said = [written(each) for each in value] if isinstance(value, list) else written(value)
            query["q" if op == "q" else name if op == "eq" else f"{name}__{op}"] = said
        if ends_before_it_begins(asked):
            refused = self._api(caller).call("GET", f"/v1/items/{self.names['things']}", **query)
            assert refused.status == 422 and refused.json["errors"][0]["code"] == "empty_range"
            return
        found = self._api(caller).pages(f"/v1/items/{self.names['things']}", **query)
        should = self.model.listed("things", None if caller == "operator" else caller, asked, order)
        assert [(item["tenant"] or "", item["id"]) for item in found] == [place[1:] for place in should], query
        assert all(self._is_item(item, place, self.model) for item, place in zip(found, should, strict=True))
        counted = self._api(caller).get(
            f"/v1/items/{self.names['things']}", **{**query, "limit": 1, "count": "true", "fields": "id"}
        )
        assert counted["count"] == len(should) and all(item.keys() == {"id"} for item in counted["data"])

    @precondition(lambda self: self.last is not None)
    @rule()
    def send_again(self) -> None:
        assert self.last is not None
        api, method, target, body, headers, first = self.last
        again = Api(self.server.url, api.key).call(method, target, body, headers)
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["idempotency-replayed"] == "true"
        if body is not None:
            more = (
                {"operations": [*body["operations"], {"op": "delete", "id": "x"}]} if "operations" in body else {"x": 1}
            )
            other = Api(self.server.url, api.key).call(method, target, {**body, **more}, headers)
            assert other.status == 422 and other.json["code"] == "idempotency_key_reused"

    @precondition(lambda self: not self.is_restarted and self.model.items)
    @rule(really=st.integers(0, 5))
    def restart(self, really: int) -> None:
        if really == 0:
            self.is_restarted = True
            self.server.restart()

    def teardown(self) -> None:
        self._is_all_there()
        self._is_all_told()

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _operation(self, source: st.DataObject, kind: str, verb: str, *, batch: bool = False) -> Fields:
        op: Fields = {"op": verb}
        if verb != "create" or batch:
            op["id"] = self._id(source)
        if verb != "delete":
            op["data"] = source.draw(data(kind, whole=verb != "edit"))
        choice = source.draw(st.integers(0, 5))
        if choice == 0 and verb != "create":
            op["revision"] = source.draw(st.integers(1, 3))
        if choice == 1 and verb == "put" and not batch:
            op["unless"] = "*"
        return op

    def _id(self, source: st.DataObject) -> str:
        there = sorted({place[2] for place in self.model.items})
        return source.draw(st.one_of(IDS, st.sampled_from(there)) if there else IDS)

    def _api(self, caller: str) -> Api:
        return Api(self.server.url, self.keys[caller][1])

    def _as_stored(self, op: Fields) -> Fields:
        if "data" not in op:
            return op
        wrong = "wrong" in op["data"].values()
        return {**op, "data": {name: value if wrong else stored(name, value) for name, value in op["data"].items()}}

    def _compare(self, kind: str, caller: str, tenant: str | None, op: Fields, reply: ApiReply) -> None:
        try:
            status, place = self.model.apply(kind, caller, tenant, self._as_stored(op))
        except Refused as refused:
            assert reply.status == refused.status, (op, reply.status, reply.body)
            assert reply.json["detail"]
            return
        assert reply.status == status, (op, reply.status, reply.body)
        if status != 204:
            assert self._is_item(reply.json, place, self.model)
            assert reply.headers["etag"] == f'"{reply.json["revision"]}"'

    def _is_item(self, shown: Fields, place: tuple[str, str, str], model: Model) -> bool:
        its = {name: value for name, value in shown.items() if name not in ("created", "updated")}
        should = {"id": place[2], "tenant": place[1] or None, **model.items[place]}
        assert json.dumps(its, sort_keys=True) == json.dumps(should, sort_keys=True)
        assert shown["created"] <= shown["updated"]
        return True

    def _is_all_there(self) -> None:
        for kind in FIELDS:
            found = self._api("operator").pages(f"/v1/items/{self.names[kind]}", sort="created", limit=7)
            should = [place for place in self.model.items if place[0] == kind]
            assert [(item["tenant"] or "", item["id"]) for item in found] == [place[1:] for place in should]
            assert all(self._is_item(item, place, self.model) for item, place in zip(found, should, strict=True))

    def _is_all_told(self) -> None:
        for kind, name in self.names.items():
            told = self._api("operator").pages("/v1/events", collection=name, sort="created")
            should = [each for each in self.model.told if each["collection"] == kind]
            assert [self._event(event) for event in told] == [
                {**each, "collection": name, "type": f"{name}.{each['type']}", "actor": self.keys[each["actor"]][0]}
                for each in should
            ]

    def _event(self, event: Fields) -> Fields:
        names = ("collection", "type", "tenant", "subject", "actor", "changed")
        found = {name: event.get(name) for name in names}
        for name in ("data", "previous"):
            its = event.get(name)
            if its is not None:
                assert its["id"] == event["subject"] and its["tenant"] == event["tenant"]
                its = {each: value for each, value in its.items() if each not in ("id", "tenant", "created", "updated")}
            found[name] = its
        return found


@pytest.fixture(scope="module")
def keys(server: TestServer) -> dict[str, tuple[str, str]]:
    """By the caller: the key's id and its text."""
    found = {"operator": ("key_operator", server.api.key or "")}
    for tenant in ("a", "b"):
        made = server.api.post("/v1/keys", {"tenant": tenant, "scopes": ["items:read", "items:write"]})
        found[tenant] = (made["id"], made["key"])
    return found


@pytest.mark.slow
def test_any_sequence_equals_a_dict(server: TestServer, keys: dict[str, tuple[str, str]]) -> None:
    machine = type("Machine", (Machine,), {"server": server, "keys": keys})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            report_multiple_bugs=False,
            # Each step is a request: making a failing sequence small takes minutes, so it is done only by hand.
            phases=[*(phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)), *BY_HAND],
            suppress_health_check=list(HealthCheck),
        ),
    )

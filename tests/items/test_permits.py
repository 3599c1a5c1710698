"""What a key may do in one collection: verbs, fields, rows and questions; what it may not see does not exist for it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.items.collections import declare
from tidings.model.collection import Collection, Field, Question
from tidings.testing import Api, ApiReply, TestServer

ROOMS = Collection(
    name="rooms",
    fields=(
        Field(name="code", type="string", required=True, unique=True, filterable=True, sortable=True),
        Field(name="owner", type="string", filterable=True),
        Field(name="rent", type="integer", filterable=True, sortable=True),
        Field(name="notes", type="string", searchable=True),
        Field(name="next_to", type="reference", to="rooms"),
        Field(name="open", type="boolean", default=False, filterable=True),
    ),
    questions=(Question(name="by_rent", parameters=("rent__gte", "rent__lt")),),
)
PATH = "/v1/items/rooms"
_numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, ROOMS)


def key(api: Api, *permits: dict[str, Any], scopes: tuple[str, ...] = (), tenant: str | None = None) -> Api:
    """The API as somebody else calls it."""
    body = {"permits": [{"collection": "rooms", **each} for each in permits], "scopes": scopes, "tenant": tenant}
    return api.with_key(api.post("/v1/keys", body)["key"])


def room(api: Api, **more: Any) -> Any:
    tenant = {"tenant": more.pop("tenant")} if "tenant" in more else {}
    return api.post(PATH, {"code": f"r{next(_numbers)}", **more}, **tenant)


def code(reply: ApiReply) -> str:
    found: str = reply.json["code"]
    assert reply.json["detail"]
    return found


@pytest.mark.slow
def test_verbs(api: Api) -> None:
    there = room(api)
    path = f"{PATH}/{there['id']}"
    calls = {
        "list": ("GET", PATH, None),
        "get": ("GET", path, None),
        "create": ("POST", PATH, {"code": "made"}),
        "edit": ("PATCH", path, {"rent": 1}),
        "put": ("PUT", f"{PATH}/own", {"code": "own"}),
        "delete": ("DELETE", path, None),
    }
    for verb in calls:
        its = key(api, {"verbs": [verb]})
        for other, (method, target, body) in calls.items():
            if other == verb:
                continue
            reply = its.call(method, target, body)
            assert reply.status == 403 and code(reply) == "verb_not_permitted", (verb, other)
            assert f"may not {other}" in reply.json["detail"] and verb in reply.json["detail"]
        batch = its.call("POST", f"{PATH}:batch", {"operations": [{"op": "delete", "id": "no-such-room"}]})
        assert batch.status == {"list": 403, "get": 403, "delete": 404}.get(verb, 403)
        if batch.status == 403 and verb not in ("list", "get"):
            assert batch.json["errors"][0]["pointer"] == "/operations/0"
    for verb, (method, target, body) in calls.items():
        assert key(api, {"verbs": [verb]}).call(method, target, body).status in (200, 201, 204), verb


@pytest.mark.slow
def test_a_key_without_rights_does_not_learn_that_there_is_such_a_collection(api: Api) -> None:
    stranger = api.with_key(api.post("/v1/keys", {"scopes": ["events:read"]})["key"])
    for method, path, body in (("GET", PATH, None), ("POST", PATH, {}), ("GET", f"{PATH}/x", None)):
        real, none = stranger.call(method, path, body), stranger.call(method, path.replace("rooms", "nowhere"), body)
        assert (real.status, none.status) == (404, 404)
        assert real.json["detail"].replace("rooms", "nowhere") == none.json["detail"]
    assert "rooms" not in stranger.call("GET", "/v1/openapi.json").body.decode()


def test_no_key_a_wrong_key_and_too_few_rights_are_told_apart(api: Api) -> None:
    none = api.with_key(None).call("GET", PATH)
    assert none.status == 401 and "Authorization: Bearer" in none.json["detail"]
    wrong = api.with_key("tdk_wrong").call("GET", PATH)
    assert wrong.status == 401 and "unknown" in wrong.json["detail"]
    few = key(api, {"verbs": ["get"]}).call("DELETE", f"{PATH}/x")
    assert few.status == 403 and "It may: get" in few.json["detail"]
    field = key(api, {"verbs": ["create"], "write": ["code"]}).call("POST", PATH, {"code": "few", "rent": 1})
    assert field.status == 403 and code(field) == "field_not_permitted"
    assert field.json["errors"][0]["pointer"] == "/rent"


@pytest.mark.slow
def test_fields_that_may_be_read(api: Api) -> None:
    there = room(api, rent=5, notes="very secret", owner="me")
    its = key(api, {"verbs": ["list", "get", "edit", "put", "create"], "read": ["code"]})
    members = {"id", "tenant", "revision", "created", "updated", "code"}
    path = f"{PATH}/{there['id']}"
    assert its.get(path).keys() == members
    assert all(item.keys() == members for item in its.get(PATH)["data"])
    assert its.patch(path, {"rent": 6}).keys() == members and its.patch(path, {"rent": 6}).keys() == members
    assert its.post(PATH, {"code": "seen"}).keys() == members
    batch = its.post(f"{PATH}:batch", {"operations": [{"op": "edit", "id": there["id"], "data": {"rent": 7}}]})
    assert batch["results"][0]["item"].keys() == members
    assert its.get(path, fields="code,id").keys() == {"code", "id"}
    for name in ("rent", "notes", "nothing"):
        refused = its.call("GET", path, fields=name)
        assert refused.status == 422 and "rent" not in refused.json["errors"][0]["detail"].split(" not ")[0]
    for query in ({"rent": 7}, {"sort": "rent"}, {"q": "secret"}, {"rent__gt": 1}, {"expand": "next_to"}):
        assert its.call("GET", PATH, **query).status == 422, query
    text = its.call("GET", "/v1/openapi.json").body.decode()
    assert "by_rent" not in text and '"rent__gt"' not in text and '"q"' not in text


def test_fields_that_may_be_written(api: Api) -> None:
    its = key(api, {"verbs": ["create", "edit", "put", "get"], "write": ["code", "owner"]})
    made = its.post(PATH, {"code": "w1", "owner": "me"})
    path = f"{PATH}/{made['id']}"
    api.patch(path, {"rent": 9, "notes": "kept"})
    refused = its.call("PATCH", path, {"rent": 1, "bogus": 2})
    assert refused.status == 422 or code(refused) == "field_not_permitted"
    assert code(its.call("PATCH", path, {"rent": 8})) == "field_not_permitted"
    # What it was shown it may give back as it is.
    assert its.call("PATCH", path, {"rent": 9}).status == 200
    put = its.call("PUT", path, {"code": "w2"})
    assert put.status == 200
    # What it may not write stays; what it may and left out goes.
    assert (put.json["rent"], put.json["notes"], put.json["owner"], put.json["code"]) == (9, "kept", None, "w2")
    hidden = key(api, {"verbs": ["edit"], "write": ["code"], "read": ["code"]})
    said = hidden.call("PATCH", path, {"rent": 1})
    assert said.status == 422 and said.json["errors"][0]["code"] == "unknown_field"
    assert "rent" not in said.json["errors"][0]["detail"].replace("'rent'", "")


def test_a_required_but_hidden_field_is_not_named(server: TestServer, api: Api) -> None:
    needed = Field(name="secret_code", type="string", required=True)
    declare(server, Collection(name="forms", fields=(needed, Field(name="note", type="string"))))
    permit = {"collection": "forms", "verbs": ["create"], "read": ["note"], "write": ["note"]}
    said = api.with_key(api.post("/v1/keys", {"permits": [permit]})["key"]).call(
        "POST", "/v1/items/forms", {"note": "x"}
    )
    assert said.status == 422 and said.json["errors"][0]["code"] == "missing" and "secret" not in said.body.decode()


@pytest.mark.slow
def test_filters_and_sorts_that_may_be_asked(api: Api) -> None:
    room(api, rent=41, owner="fs")
    its = key(api, {"verbs": ["list"], "read": ["code", "rent"], "filter": ["owner", "q"], "sort": ["rent"]})
    assert len(its.get(PATH, owner="fs", sort="-rent")["data"]) == 1
    assert its.get(PATH, q="zzz")["data"] == []
    for query in ({"code": "x"}, {"sort": "code"}, {"rent": 1}):
        assert its.call("GET", PATH, **query).status == 422
    # The order of what may not be read would tell it, so it cannot be given.
    blind = {"collection": "rooms", "verbs": ["list"], "read": ["code"], "sort": ["rent"]}
    refused = api.call("POST", "/v1/keys", {"permits": [blind]})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/permits/0/sort/0"
    none = key(api, {"verbs": ["list"], "filter": [], "sort": []})
    unknown: list[dict[str, Any]] = [{"code": "x"}, {"sort": "code"}, {"q": "x"}]
    for query in unknown:
        assert none.call("GET", PATH, **query).status == 422


@pytest.mark.slow
def test_rows_of_a_key_and_of_a_tenant(api: Api) -> None:
    made = api.post(
        "/v1/keys",
        {"tenant": "rows", "permits": [{
            "collection": "rooms", "verbs": ["list", "get", "create", "edit", "put", "delete"],
            "rows": {"tenant": "$tenant", "owner": "$key"},
        }]},
    )  # fmt: skip
    its, ident = api.with_key(made["key"]), made["id"]
    others, own = room(api, tenant="rows", owner="other"), its.post(PATH, {"code": "mine"})
    assert (own["owner"], own["tenant"]) == (ident, "rows")
    assert [item["id"] for item in its.get(PATH, count="true")["data"]] == [own["id"]]
    path, foreign = f"{PATH}/{own['id']}", f"{PATH}/{others['id']}"
    for method, body in (("GET", None), ("PATCH", {"rent": 1}), ("DELETE", None), ("PUT", {"code": "x"})):
        real, none = its.call(method, foreign, body), its.call(method, f"{PATH}/none", body)
        if method != "PUT":
            assert (real.status, none.status) == (404, 404)
            assert real.json["detail"].replace(others["id"], "none") == none.json["detail"]
        else:
            assert real.status == 404 and none.status == 201
    assert code(its.call("PATCH", path, {"owner": "other"})) == "row_not_permitted"
    assert code(its.call("POST", PATH, {"code": "theirs", "owner": "other"})) == "row_not_permitted"
    # A PUT is the same each time it is sent: what the row rule fixes is filled in again.
    for status in (200, 200):
        put = its.call("PUT", path, {"code": "mine", "rent": 4})
        assert put.status == status and put.json["owner"] == ident
    assert its.call("PUT", f"{PATH}/fresh", {"code": "fresh"}).json["owner"] == ident
    batch = {"operations": [{"op": "delete", "id": own["id"]}, {"op": "delete", "id": others["id"]}]}
    refused = its.call("POST", f"{PATH}:batch", batch)
    assert refused.status == 404 and refused.json["errors"][0]["pointer"] == "/operations/1"
    assert its.call("GET", path).status == 200


def test_a_row_rule_of_many_parts(api: Api) -> None:
    rows = {"$or": [{"rent": {"$lt": 100, "$gte": 10}}, {"open": True}], "$not": {"owner": {"$in": ["x", None]}}}
    its = key(api, {"verbs": ["list", "create"], "rows": rows}, tenant="many")
    for rent, opened, owner, seen in (
        (10, False, "a", True), (99, False, "a", True), (100, False, "a", False), (None, True, "b", True),
        (None, False, "b", False), (10, True, "x", False), (10, True, None, False),
    ):  # fmt: skip
        made = its.call("POST", PATH, {"code": f"m{next(_numbers)}", "rent": rent, "open": opened, "owner": owner})
        assert (made.status == 201) is seen, (rent, opened, owner)


def test_a_question_is_all_that_it_may_ask(api: Api) -> None:
    room(api, rent=70, tenant="asked")
    its = key(api, {"questions": ["by_rent"], "read": ["code", "rent"]}, tenant="asked")
    found = its.get(f"{PATH}:by_rent", rent__gte=70, rent__lt=71)["data"]
    assert [item["rent"] for item in found] == [70] and "notes" not in found[0]
    missing = its.call("GET", f"{PATH}:by_rent", rent__gte=70)
    assert missing.status == 422 and missing.json["errors"][0] == {
        "parameter": "rent__lt", "code": "missing", "detail": missing.json["errors"][0]["detail"]
    }  # fmt: skip
    assert its.call("GET", f"{PATH}:by_rent", rent__gte=70, rent__lt=71, owner="x").status == 422
    for call in (("GET", PATH), ("GET", f"{PATH}/x"), ("DELETE", f"{PATH}/x")):
        refused = its.call(*call)
        assert refused.status == 403 and code(refused) == "verb_not_permitted"
    assert its.call("GET", f"{PATH}:by_owner").status == 404
    paths = its.get("/v1/openapi.json")["paths"]
    assert [path for path in paths if "rooms" in path] == [f"{PATH}:by_rent"]


@pytest.mark.slow
def test_scopes_and_permits_together_are_all_that_either_gives(api: Api) -> None:
    mine, other = room(api, owner="u", tenant="union"), room(api, owner="v", tenant="union")
    foreign = room(api, owner="u", tenant="elsewhere")
    its = key(api, {"verbs": ["get"], "rows": {"owner": "u", "tenant": "$tenant"}, "read": ["code"]},
              scopes=("items:write",), tenant="union")  # fmt: skip
    assert its.call("GET", f"{PATH}/{mine['id']}").status == 200
    assert its.call("GET", f"{PATH}/{other['id']}").status == 404
    # The scope lets it change every item of its tenant, also those that the permit does not show.
    assert its.call("PATCH", f"{PATH}/{other['id']}", {"rent": 3}).status == 200
    assert its.call("PUT", f"{PATH}/{other['id']}", {"code": "union-put"}).status == 200
    assert its.call("PATCH", f"{PATH}/{foreign['id']}", {"rent": 3}).status == 404
    assert its.call("DELETE", f"{PATH}/{other['id']}").status == 204
    both = key(api, {"verbs": ["edit"], "rows": {"owner": "u", "tenant": "$tenant"}, "write": ["rent"]},
               scopes=("items:read",), tenant="union")  # fmt: skip
    third = room(api, owner="w", tenant="union")
    assert both.get(f"{PATH}/{third['id']}")["owner"] == "w"
    assert code(both.call("PATCH", f"{PATH}/{third['id']}", {"rent": 1})) == "row_not_permitted"
    assert both.patch(f"{PATH}/{mine['id']}", {"rent": 1})["owner"] == "u"


@pytest.mark.slow
def test_two_tenants_may_have_the_same_ids_and_unique_values(api: Api) -> None:
    a, b = (key(api, scopes=("items:read", "items:write"), tenant=tenant) for tenant in ("same-a", "same-b"))
    for its in (a, b):
        put = its.call("PUT", f"{PATH}/one", {"code": "the same", "next_to": "one"})
        assert put.status == 201
    assert a.patch(f"{PATH}/one", {"rent": 1})["tenant"] == "same-a"
    assert b.get(f"{PATH}/one")["rent"] is None
    assert b.get(f"{PATH}/one", expand="next_to")["expanded"]["next_to"]["tenant"] == "same-b"
    a.call("PUT", f"{PATH}/two", {"code": "a2"})
    assert code(a.call("PATCH", f"{PATH}/two", {"code": "the same"})) == "unique_taken"
    assert b.call("POST", PATH, {"code": "a2"}).status == 201
    refused = b.call("PATCH", f"{PATH}/one", {"next_to": "two"})
    assert refused.json["errors"][0] == {
        "pointer": "/next_to", "code": "no_such_item", "detail": "There is no item two in rooms."
    }  # fmt: skip
    a.patch(f"{PATH}/two", {"next_to": "one"})
    assert code(a.call("DELETE", f"{PATH}/one")) == "referenced"
    assert b.call("DELETE", f"{PATH}/one").status == 204


@pytest.mark.slow
def test_a_key_without_a_tenant_must_say_whose_item_it_means_if_several_have_it(api: Api) -> None:
    for tenant in ("amb-a", "amb-b"):
        assert api.call("PUT", f"{PATH}/amb", {"code": "amb"}, tenant=tenant).status == 201
    for method, body in (("GET", None), ("PATCH", {"rent": 1}), ("DELETE", None)):
        unsaid = api.call(method, f"{PATH}/amb", body)
        assert unsaid.status == 409 and code(unsaid) == "ambiguous_id"
        assert unsaid.json["errors"][0]["parameter"] == "tenant"
        assert api.call(method, f"{PATH}/amb", body, tenant="amb-c").status == 404
    assert api.get(f"{PATH}/amb", tenant="amb-b")["tenant"] == "amb-b"
    assert api.call("PATCH", f"{PATH}/amb", {"rent": 2}, tenant="amb-a").json["tenant"] == "amb-a"
    made = api.call("PUT", f"{PATH}/amb", {"code": "amb"})
    assert made.status == 201 and made.json["tenant"] is None
    # One that belongs to nobody must be named too: deleted twice, the second time would be about another's.
    for method in ("GET", "DELETE"):
        assert code(api.call(method, f"{PATH}/amb")) == "ambiguous_id"
    assert api.get(f"{PATH}/amb", tenant="")["tenant"] is None
    assert [each["tenant"] for each in api.get(PATH, code="amb", tenant="")["data"]] == [None]
    assert len(api.get(PATH, code="amb")["data"]) == 3 and len(api.get(PATH, code="amb", tenant="amb-a")["data"]) == 1
    assert api.call("DELETE", f"{PATH}/amb", tenant="").status == 204
    assert api.call("DELETE", f"{PATH}/amb", tenant="").status == 404
    assert api.call("DELETE", f"{PATH}/amb", tenant="amb-b").status == 204
    assert api.get(f"{PATH}/amb")["tenant"] == "amb-a"


def test_the_fixed_verbs_are_not_questions(api: Api) -> None:
    may = {"batch": "OPTIONS, POST", "import": "OPTIONS, POST", "export": "GET, HEAD, OPTIONS"}
    for verb, allow in may.items():
        refused = api.call("PATCH" if "GET" in allow else "GET", f"{PATH}:{verb}")
        assert (refused.status, refused.headers["allow"]) == (405, allow), verb
    question = api.call("POST", f"{PATH}:by_rent", {})
    assert (question.status, question.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert api.call("GET", f"{PATH}:batches").status == 404


def test_a_row_rule_that_fixes_the_tenant_is_not_overruled_by_the_parameter(api: Api) -> None:
    its = key(api, {"verbs": ["create", "put", "list"], "rows": {"tenant": "fixed"}})
    assert its.post(PATH, {"code": "f1"})["tenant"] == "fixed"
    assert its.call("POST", PATH, {"code": "f2"}, tenant="fixed").status == 201
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/f3")):
        refused = its.call(method, path, {"code": "f3"}, tenant="other")
        assert refused.status == 403 and code(refused) == "row_not_permitted"
    assert its.get(PATH, tenant="other")["data"] == []


def test_what_a_key_may_not_see_is_not_expanded_nor_referred_to(api: Api) -> None:
    seen, hidden = room(api, owner="k", tenant="ref"), room(api, owner="z", tenant="ref")
    first = room(api, owner="k", tenant="ref", next_to=hidden["id"])
    its = key(
        api, {"verbs": ["get", "list", "edit", "delete"], "rows": {"owner": "k", "tenant": "$tenant"}}, tenant="ref"
    )
    path = f"{PATH}/{first['id']}"
    assert its.get(path, expand="next_to")["expanded"] == {"next_to": None}
    assert its.get(path, expand="next_to", fields="code").keys() == {"code", "expanded"}
    refused = its.call("PATCH", path, {"next_to": hidden["id"]})
    assert refused.status == 200, "the reference that it has already is no change"
    assert its.patch(path, {"next_to": seen["id"]})["next_to"] == seen["id"]
    real, none = (its.call("PATCH", path, {"next_to": ident}) for ident in (hidden["id"], "none"))
    assert (real.status, real.json["detail"]) == (none.status, none.json["detail"]) == (422, "The item is not valid.")
    assert real.json["errors"][0]["detail"].replace(hidden["id"], "none") == none.json["errors"][0]["detail"]


@pytest.mark.slow
def test_an_id_that_a_hidden_item_has_is_taken_one_by_one_and_in_a_batch(api: Api) -> None:
    """As docs/howto/permits.md says: an id can be used once, so this shows that it exists, and nothing else."""
    hidden = room(api, owner="z", tenant="taken")
    rows = {"owner": "k", "tenant": "$tenant"}
    its = key(api, {"verbs": ["get", "create", "put", "edit", "delete"], "rows": rows}, tenant="taken")
    new = {"code": "other", "owner": "k"}
    for _ in range(2):
        assert its.call("GET", f"{PATH}/{hidden['id']}").status == 404
        single = its.call("PUT", f"{PATH}/{hidden['id']}", new)
        operation = {"op": "create", "id": hidden["id"], "data": new}
        batch = its.call("POST", f"{PATH}:batch", {"operations": [operation]})
        assert (single.status, batch.status) == (404, 409), (single.json, batch.json)
        for verb, path in (("PATCH", f"{PATH}/{hidden['id']}"), ("DELETE", f"{PATH}/{hidden['id']}")):
            assert its.call(verb, path, {"code": "x"} if verb == "PATCH" else None).status == 404
    assert api.get(f"{PATH}/{hidden['id']}")["owner"] == "z"


def test_referring_items_are_shown_only_to_those_who_may_read_them(server: TestServer, api: Api) -> None:
    notes = Collection(name="secret_notes", fields=(Field(name="about", type="reference", to="rooms"),))
    there = room(api)
    declare(server, notes)
    api.post("/v1/items/secret_notes", {"about": there["id"]})
    said = api.call("DELETE", f"{PATH}/{there['id']}")
    assert said.status == 409 and "secret_notes" in said.json["detail"] and "about" in said.json["detail"]
    assert said.json["errors"][0]["parameter"] == "id"
    said = key(api, {"verbs": ["delete"]}).call("DELETE", f"{PATH}/{there['id']}")
    assert said.status == 409 and "secret" not in said.body.decode() and "about" not in said.body.decode()


def test_the_document_shows_a_key_its_own_operations_and_fields(api: Api) -> None:
    its = key(api, {"verbs": ["get", "create"], "read": ["code"], "write": ["owner", "code"]}, tenant="doc")
    document = its.get("/v1/openapi.json")
    shown = {(path, method) for path, methods in document["paths"].items() for method in methods if "rooms" in path}
    posts = {(path, "post") for path in (PATH, f"{PATH}:batch", f"{PATH}:import")}
    assert shown == {*posts, (f"{PATH}/{{id}}", "get")}
    schemas = document["components"]["schemas"]
    assert set(schemas["rooms.item"]["properties"]) == {"id", "tenant", "revision", "created", "updated", "code"}
    assert set(schemas["rooms.new"]["properties"]) == {"code", "owner"}
    assert "rent" not in str(document).replace("current", "") and "secret_notes" not in str(document)
    fixed = key(api, {"verbs": ["create"], "rows": {"code": "always"}}).get("/v1/openapi.json")
    assert "required" not in fixed["components"]["schemas"]["rooms.new"]


def test_a_revoked_key_and_a_new_permit_apply_from_the_next_request_on(api: Api) -> None:
    made = api.post("/v1/keys", {"permits": [{"collection": "rooms", "verbs": ["list"]}]})
    its = api.with_key(made["key"])
    assert its.call("GET", PATH).status == 200
    assert api.call("DELETE", f"/v1/keys/{made['id']}").status == 204
    assert its.call("GET", PATH).status == 401

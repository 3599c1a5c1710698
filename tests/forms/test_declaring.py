"""`/v1/forms`: forms are declared, read, replaced, changed and deleted; what cannot work is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.forms.world import ANN, CONTACT, FormWorld

GOOD: dict[str, Any] = {"path": "good", "fields": {"name": {}}}


def refused(world: FormWorld, body: dict[str, Any]) -> tuple[str, str]:
    """The place and the code of a refusal."""
    answer = world.api.call("POST", "/v1/forms", body)
    assert answer.status == 422, answer.body
    (place,) = answer.json["errors"]
    return place["pointer"], place["code"]


def test_a_form_is_shown_as_it_works(world: FormWorld) -> None:
    form = world.form(max_per_minute=7)
    assert world.api.get(f"/v1/forms/{form.id}") == form.view
    assert form.view["url"] == form.path and form.view["honeypot"] == "website"
    assert form.view["title"] == form.view["path"].replace("-", " ").capitalize()
    assert list(form.view["fields"]) == list(CONTACT)


def test_a_form_is_changed_at_the_revision_that_was_read(world: FormWorld) -> None:
    form = world.form()
    edited = world.api.patch(f"/v1/forms/{form.id}", {"title": "Hello", "thanks": "/thanks"})
    assert (edited["revision"], edited["title"], edited["fields"]) == (2, "Hello", form.view["fields"])
    assert world.api.call("PATCH", f"/v1/forms/{form.id}", {"title": "x"}, {"If-Match": '"1"'}).status == 412
    back = world.api.call("PATCH", f"/v1/forms/{form.id}", edited)
    assert back.status == 200, back.body
    replaced = world.api.put(
        f"/v1/forms/{form.id}", {"path": form.view["path"], "fields": {"email": {"type": "email"}}}
    )
    assert (replaced["thanks"], list(replaced["fields"]), replaced["max_per_minute"]) == ("", ["email"], 20)
    assert "Your name" not in form.page()


def test_the_order_of_the_fields_is_that_of_the_page(world: FormWorld) -> None:
    form = world.form({"zebra": {}, "apple": {}, "mango": {}})
    page = form.page()
    assert page.index("f-zebra") < page.index("f-apple") < page.index("f-mango")
    world.api.patch(f"/v1/forms/{form.id}", {"fields": {"mango": {}, "zebra": {}}})
    page = form.page()
    assert page.index("f-mango") < page.index("f-zebra") and "f-apple" not in page


def test_a_path_belongs_to_one_form(world: FormWorld) -> None:
    form, other = world.form(), world.form()
    answer = world.api.call("POST", "/v1/forms", GOOD | {"path": form.view["path"]})
    assert (answer.status, answer.json["code"]) == (409, "path_taken")
    answer = world.api.call("PATCH", f"/v1/forms/{other.id}", {"path": form.view["path"]})
    assert (answer.status, answer.json["code"]) == (409, "path_taken")


def test_a_key_needs_the_scopes_of_forms(world: FormWorld) -> None:
    form = world.form()
    key = world.api.post("/v1/keys", {"name": "reader", "scopes": ["forms:read"]})["key"]
    reader = world.api.with_key(key)
    assert reader.get(f"/v1/forms/{form.id}")["id"] == form.id
    assert reader.call("DELETE", f"/v1/forms/{form.id}").status == 403
    assert reader.call("POST", "/v1/forms", GOOD).status == 403
    assert reader.call("GET", "/v1/receipts").status == 403


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"path": "/x"}, "/path", "path"),
    ({"path": "@/x"}, "/path", "path"),
    ({"path": ".x"}, "/path", "path"),
    ({"fields": {}}, "/fields", "wrong_value"),
    ({"fields": {"a": {}} | {f"a{n}": {} for n in range(100)}}, "/fields", "wrong_value"),
    ({"fields": {"_token": {}}}, "/fields/_token", "name"),
    ({"fields": {"a b": {}}}, "/fields/a b", "name"),
    ({"fields": {"a": {"label": "x\ny"}}}, "/fields/a/label", "control_character"),
    ({"fields": {"a": {"type": "select"}}}, "/fields/a/options", "wrong_value"),
    ({"fields": {"a": {"options": ["x"]}}}, "/fields/a/options", "not_possible_here"),
    ({"fields": {"a": {"type": "radio", "options": ["x", "x"]}}}, "/fields/a/options", "repeated"),
    ({"fields": {"a": {"type": "radio", "options": ["x"], "default": "y"}}}, "/fields/a/default", "not_in_enum"),
    ({"fields": {"a": {"type": "checkbox", "default": "x"}}}, "/fields/a/default", "wrong_type"),
    ({"fields": {"a": {"type": "hidden"}}}, "/fields/a/default", "missing"),
    (
        {"fields": {"a": {"type": "hidden", "default": "x", "required": True}}},
        "/fields/a/required",
        "not_possible_here",
    ),
    ({"fields": {"a": {"type": "file", "from_query": True}}}, "/fields/a/from_query", "not_possible_here"),
    ({"fields": {"a": {"type": "file", "accept": ["pictures"]}}}, "/fields/a/accept/0", "wrong_value"),
    ({"fields": {"a": {"type": "file", "max_bytes": 0}}}, "/fields/a/max_bytes", "out_of_range"),
    ({"fields": {"a": {"type": "file", "max": 21}}}, "/fields/a/max", "bound"),
    ({"fields": {"a": {"max": 0}}}, "/fields/a/max", "bound"),
    ({"fields": {"a": {"max": 1.5}}}, "/fields/a/max", "bound"),
    ({"fields": {"a": {"max": "7"}}}, "/fields/a/max", "bound"),
    ({"fields": {"a": {"min": 5, "max": 4}}}, "/fields/a/min", "bound"),
    ({"fields": {"a": {"type": "integer", "min": 1.5}}}, "/fields/a/min", "bound"),
    ({"fields": {"a": {"type": "date", "min": "2026-02-30"}}}, "/fields/a/min", "bound"),
    ({"fields": {"a": {"type": "time", "max": 7}}}, "/fields/a/max", "bound"),
    ({"fields": {"a": {"pattern": "("}}}, "/fields/a/pattern", "pattern"),
    ({"fields": {"a": {"pattern": r"(a)\1"}}}, "/fields/a/pattern", "pattern"),
    ({"fields": {"a": {"pattern": "(?=a)"}}}, "/fields/a/pattern", "pattern"),
    ({"fields": {"a": {"pattern": "((a{1000}){1000}){1000}"}}}, "/fields/a/pattern", "pattern"),
    ({"fields": {"a": {"pattern_help": "x"}}}, "/fields/a/pattern_help", "incomplete"),
    ({"fields": {"a": {"autocomplete": "<x>"}}}, "/fields/a/autocomplete", "wrong_value"),
    ({"subject": "email"}, "/subject", "subject"),
    ({"type": "endpoint.x"}, "/type", "event_type"),
    ({"type": "a b"}, "/type", "event_type"),
    ({"lang": "english!"}, "/lang", "wrong_value"),
    ({"origins": ["site.example"]}, "/origins/0", "origin"),
    ({"origins": ["null"]}, "/origins/0", "origin"),
    ({"honeypot": "name"}, "/honeypot", "name"),
    ({"min_seconds": 61}, "/min_seconds", "out_of_range"),
    ({"max_per_minute": -1}, "/max_per_minute", "out_of_range"),
    *(
        ({"thanks": thanks}, "/thanks", "url")
        for thanks in ("//evil.example", "/a b", "/\\evil", "https://x y", "https://", "/ü", "/a\nb", "https://a@b")
    ),
    ({"tenant": "a b", "path": "a b/x"}, "/tenant", "tenant"),
]


@pytest.mark.parametrize(("change", "pointer", "code"), WRONG)
def test_what_cannot_work_is_refused_with_its_place(
    world: FormWorld, change: dict[str, Any], pointer: str, code: str
) -> None:
    assert refused(world, GOOD | change) == (pointer, code)


@pytest.mark.slow
def test_a_page_too_large_for_a_form_is_refused(world: FormWorld) -> None:
    def declare(fields: dict[str, Any]) -> Any:
        reply = world.api.call("POST", "/v1/forms", {"path": "large", "fields": fields})
        return reply.status if reply.status < 400 else reply.json["errors"][0]["code"]

    options = [f"option {each}" for each in range(500)]
    assert declare({f"s{each}": {"type": "select", "options": options} for each in range(5)}) == "too_many"
    boxes = {f"box{each}": {"type": "checkboxes", "options": options[:400]} for each in range(5)}
    assert declare(boxes) == "too_large"
    assert declare({f"t{each}": {"type": "textarea", "default": "&" * 20_000} for each in range(4)}) == "too_large"
    assert declare({f"n{each}": {"help": "https://a.example/ " * 60} for each in range(100)}) == "too_large"
    assert declare({f"s{each}": {"type": "select", "options": options} for each in range(4)}) == 201


@pytest.mark.slow
def test_patterns_that_would_take_long_together_are_refused(world: FormWorld) -> None:
    def declare(count: int, **field: Any) -> int:
        fields = {f"f{each}": field for each in range(count)}
        return world.api.call("POST", "/v1/forms", {"path": f"patterns-{count}-{len(field)}", "fields": fields}).status

    assert declare(5, pattern="[a-z]{400}", max=180_000) == 422
    assert declare(50, pattern="[a-z]{400}") == 422
    assert declare(50, pattern="[a-z]{400}", max=100) == 201
    assert declare(100, pattern="[A-Z]{2}[0-9]{6}") == 201


def test_an_unknown_member_of_a_field_is_refused_by_name(world: FormWorld) -> None:
    pointer, code = refused(world, {"path": "x", "fields": {"a": {"maxlength": 7}}})
    assert (pointer, code) == ("/fields/a/maxlength", "unknown_field")


def test_a_file_of_forms_is_planned_and_carried_out(world: FormWorld) -> None:
    wanted = {"forms": {"one": GOOD | {"path": "planned/one"}, "two": GOOD | {"path": "planned/two"}}}
    plan = world.api.post("/v1/forms:plan", wanted)
    assert [step["do"] for step in plan["steps"]] == ["create_form", "create_form"]
    assert world.api.post("/v1/forms:apply", {**wanted, "plan": plan["plan"]})["applied"]
    stale = world.api.call("POST", "/v1/forms:apply", {**wanted, "plan": plan["plan"]})
    assert (stale.status, stale.json["code"]) == (409, "plan_changed")
    wanted["forms"]["one"] = GOOD | {"path": "planned/one", "title": "First", "fields": {"b": {}, "name": {}}}
    [step] = world.api.post("/v1/forms:plan", wanted)["steps"]
    assert step["says"] == "will change fields, title of the form planned/one"
    world.api.post("/v1/forms:apply", wanted)
    wanted["forms"]["one"]["fields"] = {"name": {}, "b": {}}
    [step] = world.api.post("/v1/forms:plan", wanted)["steps"]
    assert step["says"] == "will change fields of the form planned/one"
    wrong = world.api.call("POST", "/v1/forms:plan", {"forms": {"x": GOOD | {"lang": "?"}}})
    assert wrong.json["errors"][0]["pointer"] == "/forms/x/lang"


def test_a_tenant_with_forms_is_not_deleted(world: FormWorld) -> None:
    world.api.post("/v1/tenants", {"id": "busy"})
    form = world.form(path="busy/form", tenant="busy")
    answer = world.api.call("DELETE", "/v1/tenants/busy")
    assert answer.status == 409 and "has 1 form." in answer.json["detail"]
    world.api.delete(f"/v1/forms/{form.id}")
    world.api.delete("/v1/tenants/busy")


def test_the_metrics_count_submissions_by_verdict(world: FormWorld) -> None:
    form = world.form()
    form.post(ANN)
    form.post({})
    text = world.api.call("GET", "/metrics").body.decode()
    assert 'tidings_form_submissions_total{verdict="accepted"}' in text
    assert 'tidings_form_submissions_total{verdict="wrong"}' in text
    assert 'operation="form"' in text

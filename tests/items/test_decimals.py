"""Items with decimals, on every engine: stored, shown, asked for and sorted exactly; how other types become them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from tidings.client import Client
from tidings.testing import Api, ApiReply, TestServer

PATH = "/v1/items/invoices"
FIELDS: dict[str, Any] = {
    "total": {"type": "decimal", "max_digits": 20, "scale": 2, "filterable": True, "sortable": True, "min": "-1000000"},
    "rate": {"type": "decimal", "max_digits": 38, "scale": 10, "unique": True},
    "fee": {"type": "decimal", "default": 5, "max": "100", "filterable": True},
    "who": {"type": "string", "filterable": True, "sortable": True},
}
TOTALS = [
    "-1000000.00",
    "-12.31",
    "-12.30",
    "-0.01",
    "0.00",
    "0.01",
    "9.90",
    "10.00",
    "12345678901234567.89",
    "12345678901234567.90",
]


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    events = {"paid": "when total becomes 0", "large": {"filter": {"data": {"total": {"$gte": 1000}}}}}
    questions = {"by_total": ["total__gte", "total__lt"]}
    body = {"fields": FIELDS, "events": events, "questions": questions}
    reply = server.api.call("PUT", "/v1/collections/invoices", body)
    assert reply.status == 201, reply.json


def listed(api: Api, query: str) -> list[str]:
    """The totals of a list, page by page."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"{PATH}?limit=3&{query}" + (f"&cursor={cursor}" if cursor else ""))
        found += [item["total"] for item in page["data"]]
        cursor = page["next_cursor"]
    return found


def import_(api: Api, media: str, text: str, query: str = "") -> ApiReply:
    return api.call("POST", f"{PATH}:import{query}", text.encode(), {"Content-Type": media})


@pytest.mark.slow
def test_a_decimal_is_shown_with_all_of_its_digits_and_a_change_is_by_value(api: Api) -> None:
    made = api.post(PATH, {"total": "12.3", "rate": "-0.0000000001"})
    assert (made["total"], made["rate"], made["fee"]) == ("12.30", "-0.0000000001", "5.00")
    path = f"{PATH}/{made['id']}"
    assert api.get(path) == made
    assert api.patch(path, {"total": "12.30"})["revision"] == 1, "the same number is no change"
    assert api.patch(path, {"total": "-0"})["total"] == "0.00"
    assert api.patch(path, {"total": "1234"})["revision"] == 3
    told = api.get("/v1/events", collection="invoices", subject=made["id"], sort="created")["data"]
    assert [event["type"] for event in told] == ["invoices.created", "invoices.paid", "invoices.large"]
    assert told[1]["previous"]["total"] == "12.30" and told[1]["data"]["total"] == "0.00"
    assert told[2]["changed"] == ["total"]
    assert api.call("DELETE", path).status == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"total":12.3}', "wrong_type"),
        ('{"total":12}', "wrong_type"),
        ('{"total":"12.345"}', "pattern"),
        ('{"total":"1234567890123456789.00"}', "pattern"),
        ('{"total":"1e3"}', "pattern"),
        ('{"total":"-1000000.01"}', "too_small"),
        ('{"fee":"100.01"}', "too_large"),
        ('{"total":12345678901234567.89}', "not_exact"),
    ],
)
def test_a_decimal_that_does_not_fit_is_refused_with_a_sentence(api: Api, body: str, code: str) -> None:
    refused = api.call("POST", PATH, body.encode(), {"Content-Type": "application/json"})
    assert refused.status == 422 and refused.json["errors"][0]["code"] == code
    assert import_(api, "application/x-ndjson", body).status == 422


@pytest.mark.slow
def test_decimals_are_asked_for_and_sorted_by_as_numbers(api: Api) -> None:
    for index, total in enumerate(reversed(TOTALS)):
        api.call("PUT", f"{PATH}/sorted{index}", {"total": total, "who": "sorted"})
    api.call("PUT", f"{PATH}/none", {"who": "sorted"})
    assert listed(api, "who=sorted&total__exists=true&sort=total") == TOTALS
    assert listed(api, "who=sorted&sort=-total") == [*reversed(TOTALS), None]
    assert listed(api, "who=sorted&sort=who,total,-created") == [None, *TOTALS]
    for asked in [*TOTALS, "0", "9.9", "9.905", "-12.305", "99999999999999999999999999", "-0.000000001"]:
        for op, holds in _OPERATORS.items():
            found = listed(api, f"who=sorted&sort=total&total__exists=true&total{op}={asked}")
            assert found == [total for total in TOTALS if holds(Decimal(total), Decimal(asked))], (op, asked)
    assert listed(api, "who=sorted&total__in=9.9,10&sort=total") == ["9.90", "10.00"]
    assert listed(api, "who=sorted&total__in=9.9%2C10&sort=total") == ["9.90", "10.00"]
    asked = api.get(f"{PATH}:by_total?total__gte=-12.30&total__lt=0.01&sort=total")["data"]
    assert [item["total"] for item in asked] == ["-12.30", "-0.01", "0.00"]
    for wrong in ("x", "1e3", "1.", "", "٣", "1" * 80):
        refused = api.call("GET", f"{PATH}?total={quote(wrong)}")
        assert refused.status == 422 and refused.json["errors"][0]["parameter"] == "total"
    cursor = api.get(f"{PATH}?sort=total&limit=2")["next_cursor"]
    assert api.call("GET", f"{PATH}?sort=-total&limit=2&cursor={cursor}").status == 422


_OPERATORS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "": Decimal.__eq__,
    "__ne": Decimal.__ne__,
    "__gt": Decimal.__gt__,
    "__gte": Decimal.__ge__,
    "__lt": Decimal.__lt__,
    "__lte": Decimal.__le__,
}


@pytest.mark.slow
def test_pages_continue_after_the_smallest_and_the_largest(api: Api) -> None:
    field = {"type": "decimal", "max_digits": 38, "sortable": True}
    api.call(
        "PUT", "/v1/collections/extremes", {"fields": {"part": {**field, "scale": 38}, "whole": {**field, "scale": 0}}}
    )
    parts = ["0." + "0" * 37 + "1", "-0." + "9" * 38, "-0." + "0" * 37 + "1", "0", "0.0000001"]
    for index, part in enumerate(parts):
        api.call("PUT", f"/v1/items/extremes/i{index}", {"part": part, "whole": "9" * (38 - index)})
    for name, expected in (("part", [1, 2, 3, 0, 4]), ("whole", [4, 3, 2, 1, 0])):
        for sort, order in ((name, expected), (f"-{name}", expected[::-1])):
            found: list[int] = []
            cursor: str | None = ""
            while cursor is not None:
                page = api.get(f"/v1/items/extremes?limit=1&sort={sort}" + (f"&cursor={cursor}" if cursor else ""))
                found += [int(item["id"][1:]) for item in page["data"]]
                cursor = page["next_cursor"]
            assert found == order


def test_files_with_decimals_go_out_and_come_in_again(api: Api) -> None:
    rows = [{"id": f"file{index}", "total": total, "who": "file"} for index, total in enumerate(TOTALS)]
    ndjson = "".join(json.dumps(row) + "\n" for row in rows)
    assert import_(api, "application/x-ndjson", ndjson).json["created"] == len(TOTALS)
    for media, format in (("text/csv", "csv"), ("application/x-ndjson", "ndjson")):
        file = api.call("GET", f"{PATH}:export?format={format}&who=file&fields=id,total,fee,who").body.decode()
        assert "12345678901234567.89" in file and "-12.30" in file
        assert import_(api, media, file, "?on_conflict=replace").json["unchanged"] == len(TOTALS)
    refused = import_(api, "text/csv", "total\n12.345\n")
    assert refused.status == 422 and refused.json["errors"][0]["line"] == 2


def test_unique_decimals_are_unique_by_value(api: Api) -> None:
    api.post(PATH, {"rate": "7.50"})
    assert api.call("POST", PATH, {"rate": "7.5000"}).json["code"] == "unique_taken"
    assert import_(api, "text/csv", "rate\n7.5\n").json["errors"][0]["code"] == "unique_taken"
    assert import_(api, "text/csv", "rate\n8\n8.0\n").json["errors"][0]["code"] == "unique_taken"


def test_row_rules_compare_decimals(server: TestServer, api: Api) -> None:
    for ident, total in (("cheap", "99.99"), ("dear", "100.00")):
        api.call("PUT", f"{PATH}/{ident}", {"total": total, "who": "rule"})
    rows = {"total": {"$lt": "100"}, "who": "rule"}
    permit = {"collection": "invoices", "verbs": ["list", "get", "create", "edit"], "rows": rows}
    key = server.api.with_key(api.post("/v1/keys", {"name": "rule", "permits": [permit]})["key"])
    assert [item["id"] for item in key.get(PATH)["data"]] == ["cheap"]
    assert key.call("GET", f"{PATH}/dear").status == 404
    assert key.call("PATCH", f"{PATH}/cheap", {"total": "100.00"}).status == 403
    assert key.call("POST", PATH, {"total": "99.999"}).status == 422
    for wrong in (100, "1e2", "x"):
        permit["rows"] = {"total": {"$lt": wrong}}
        assert api.call("POST", "/v1/keys", {"name": "no", "permits": [permit]}).status == 422


def test_the_client_takes_decimals(server: TestServer) -> None:
    invoices = Client(server.url, server.api.key).items("invoices")
    made = invoices.create({"total": Decimal("0.07"), "who": "client"})
    assert made["total"] == "0.07"
    assert [item["id"] for item in invoices.list(total=Decimal("0.070"), who="client")] == [made["id"]]
    assert [item["id"] for item in invoices.list(total__in=[Decimal("0.07"), Decimal(3)])] == [made["id"]]
    invoices.import_([{"total": Decimal("1E+2"), "who": "client"}])
    assert [item["total"] for item in invoices.list(who="client", sort="total")] == ["0.07", "100.00"]


@pytest.mark.slow
def test_the_document_has_a_decimals_digits(api: Api) -> None:
    document = api.get("/v1/openapi.json")
    total = document["components"]["schemas"]["invoices.new"]["properties"]["total"]
    assert (total["format"], total["pattern"]) == ("decimal", r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,2})?$")
    assert "string" in total["type"]


# --- declarations, and what happens to values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ({"type": "decimal", "scale": 3, "max_digits": 2}, "scale"),
        ({"type": "decimal", "max_digits": 39}, "max_digits"),
        ({"type": "decimal", "max_digits": 0}, "max_digits"),
        ({"type": "decimal", "scale": -1}, "scale"),
        ({"type": "decimal", "scale": 1.5}, "scale"),
        ({"type": "decimal", "default": 12.3}, "default"),
        ({"type": "decimal", "default": "12.345"}, "default"),
        ({"type": "decimal", "min": 0.5}, "min"),
        ({"type": "decimal", "min": "0.505"}, "min"),
        ({"type": "decimal", "min": "2", "max": "1.99"}, "min"),
        ({"type": "decimal", "min": "2", "default": "1.99"}, "default"),
        ({"type": "decimal", "pattern": "x"}, "pattern"),
        ({"type": "decimal", "searchable": True}, "searchable"),
        ({"type": "number", "scale": 2}, "scale"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(api: Api, field: dict[str, Any], place: str) -> None:
    refused = api.call("PUT", "/v1/collections/wrong", {"fields": {"f": field}})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == f"/fields/f/{place}", refused.json


def test_an_own_event_compares_a_decimal_with_a_number(api: Api) -> None:
    body = {"fields": {"f": "decimal"}, "events": {"big": {"filter": {"data": {"f": {"$gte": "100"}}}}}}
    refused = api.call("PUT", "/v1/collections/wrong", body)
    assert refused.status == 422 and "compare it with a number" in refused.json["errors"][0]["detail"]


def declare(api: Api, name: str, field: Any) -> ApiReply:
    return api.call("PUT", f"/v1/collections/{name}", {"fields": {"f": field}})


DECIMAL: dict[str, Any] = {"type": "decimal", "filterable": True, "sortable": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "values", "bad", "shown"),
    [
        ("string", ["12.3", "-0", "7.1000", "100"], ["x", "1.005", "1e3", " 1"], ["-0.00", "7.10", "12.30", "100.00"]),
        ("integer", [5, -(10**17), 0], [10**18, -(2**63)], ["-100000000000000000.00", "0.00", "5.00"]),
        (
            "number",
            [0.1, 1e2, -1.25, 123456789012.34],
            [0.125, 1e20, 1e-5],
            ["-1.25", "0.10", "100.00", "123456789012.34"],
        ),
    ],
)
def test_another_type_becomes_decimal_if_all_values_fit(
    api: Api, before: str, values: list[Any], bad: list[Any], shown: list[str]
) -> None:
    name = f"from_{before}"
    declare(api, name, before)
    for index, value in enumerate([*values, *bad]):
        assert api.call("PUT", f"/v1/items/{name}/i{index}", {"f": value}).status == 201
    refused = declare(api, name, DECIMAL)
    assert refused.status >= 400 and f"{len(bad)} items of {name} have a value in f" in refused.body.decode()
    for index in range(len(values), len(values) + len(bad)):
        api.call("DELETE", f"/v1/items/{name}/i{index}")
    assert declare(api, name, DECIMAL).status == 200
    found = [item["f"] for item in api.get(f"/v1/items/{name}?sort=f")["data"]]
    assert found == [text.replace("-0.00", "0.00") for text in shown]
    assert len(api.get(f"/v1/items/{name}?f={shown[1]}")["data"]) == 1


@pytest.mark.slow
def test_a_scale_is_widened_and_narrowed_and_a_decimal_becomes_text(api: Api) -> None:
    declare(api, "scales", DECIMAL)
    for index, value in enumerate(["10", "9.5", "-3.25"]):
        api.call("PUT", f"/v1/items/scales/i{index}", {"f": value})
    assert declare(api, "scales", {**DECIMAL, "scale": 4}).status == 200
    wide = api.get("/v1/items/scales?sort=f")["data"]
    assert [(item["f"], item["revision"]) for item in wide] == [("-3.2500", 2), ("9.5000", 2), ("10.0000", 2)]
    assert declare(api, "scales", {**DECIMAL, "scale": 1}).status >= 400
    api.call("PATCH", "/v1/items/scales/i2", {"f": "-3.2"})
    assert declare(api, "scales", {**DECIMAL, "scale": 1, "max_digits": 10}).status == 200
    assert api.patch("/v1/items/scales/i0", {"f": "-0.5"})["f"] == "-0.5"
    assert [item["f"] for item in api.get("/v1/items/scales?f__lt=9.51&sort=f")["data"]] == ["-3.2", "-0.5", "9.5"]
    assert declare(api, "scales", {"type": "string", "filterable": True, "sortable": True}).status == 200
    assert [item["f"] for item in api.get("/v1/items/scales?sort=f")["data"]] == ["-0.5", "-3.2", "9.5"]


@pytest.mark.slow
def test_a_new_required_decimal_gives_its_default(api: Api) -> None:
    api.call("PUT", "/v1/collections/filled", {"fields": {"a": "string"}})
    api.call("PUT", "/v1/items/filled/one", {"a": "x"})
    field = {"type": "decimal", "required": True, "default": "1.5", "filterable": True}
    assert api.call("PUT", "/v1/collections/filled", {"fields": {"a": "string", "f": field}}).status == 200
    assert [item["f"] for item in api.get("/v1/items/filled?f=1.50")["data"]] == ["1.50"]
    again = api.call("PUT", "/v1/collections/filled", {"fields": {"a": "string", "f": {**field, "default": "1.50"}}})
    assert again.status == 200 and again.json["revision"] == 2, "1.5 and 1.50 are one default"

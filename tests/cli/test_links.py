"""`links` of tidings.yaml: checked, planned and applied beside collections; and `tidings links`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.testing import Api, ProcessServer, TestServer, until

ORDERS = """\
collections:
  orders:
    fields:
      title: {type: string, required: true}
      pieces: integer
"""
SHOP = """\
links:
  shop-update:
    when: {event: [shop.order.created, shop.order.updated]}
    item: {collection: orders, put: "{{ data.id }}", data: "{{ data }}"}
"""


@pytest.fixture(autouse=True)
def clean(server: TestServer) -> Iterator[Api]:
    """A server without links and collections."""
    yield server.api
    for link in server.api.pages("/v1/links"):
        server.api.delete(f"/v1/links/{link['name']}")
    for collection in server.api.pages("/v1/collections"):
        server.api.call("DELETE", f"/v1/collections/{collection['name']}", drop_values="true")


@pytest.mark.slow
def test_links_and_their_collections_are_applied_as_one(run: Run, write: Any, clean: Api) -> None:
    file = write(ORDERS + SHOP)
    planned = run("apply", file, "--plan")
    assert planned.exit_code == 3, planned.output
    assert "will create the collection orders" in planned.stdout
    assert "will create the link shop-update" in planned.stdout
    assert run("apply", file).stdout.endswith("Done.\n")
    assert run("apply", file).stdout == "Nothing to do: the collections and links match the file.\n"
    renamed = write(
        ORDERS.replace("  orders:", "  sales:\n    was: orders")
        + SHOP.replace("collection: orders", "collection: sales")
    )
    assert "link" not in run("apply", renamed, "--plan").stdout, "the link follows"
    assert run("apply", renamed).exit_code == 0
    assert clean.get("/v1/links/shop-update")["item"]["collection"] == "sales"


@pytest.mark.slow
def test_nothing_is_applied_if_a_link_is_refused(run: Run, write: Any, clean: Api) -> None:
    refused = run("apply", write(ORDERS + SHOP.replace("collection: orders", "collection: nothing")))
    assert refused.exit_code == 1
    assert "tidings.yaml, line 9, column 24: There is no collection nothing." in refused.stderr
    assert clean.pages("/v1/collections") == []


@pytest.mark.slow
def test_a_file_of_links_alone_prunes_links_alone(run: Run, write: Any, clean: Api) -> None:
    run("apply", write(ORDERS + SHOP))
    clean.post("/v1/links/shop-update:pause")
    clean.publish("shop.order.created", {"id": "a", "title": "x"})
    file = write(SHOP.replace("shop-update", "other"))
    assert "Not in the file, but kept (--prune deletes them):\n  links shop-update\n" in run("apply", file).stdout
    asked = run("apply", file, "--prune")
    assert asked.exit_code == 4
    assert "will delete the link shop-update and cancel 1 waiting delivery" in asked.stdout
    assert run("apply", file, "--prune", "--yes").exit_code == 0
    assert [each["name"] for each in clean.pages("/v1/links")] == ["other"]
    assert [each["name"] for each in clean.pages("/v1/collections")] == ["orders"]


def test_check_names_line_and_column(run: Run, write: Any) -> None:
    wrong = run("check", write(ORDERS + SHOP.replace("{{ data.id }}", "{{ datum.id }}").replace("when:", "wann:")))
    assert wrong.exit_code != 0
    assert "line 8, column 5: 'wann' is unknown here" in wrong.stderr
    assert "line 9, column 37: There is no datum here." in wrong.stderr
    right = run("check", write(ORDERS + SHOP))
    assert "The file declares collections orders; links shop-update." in right.stdout


@pytest.mark.slow
def test_a_start_applies_the_links_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(ORDERS + SHOP)
    with ProcessServer(tmp_path / "data", config=file) as server:
        server.api.publish("shop.order.created", {"id": "a", "title": "x"})
        until(lambda: server.api.pages("/v1/items/orders"), "it is made")
        server.stop()
        server.start()
        assert server.api.get("/v1/links/shop-update")["revision"] == 1


@pytest.mark.slow
def test_links_on_the_command_line(run: Run, write: Any, clean: Api, tmp_path: Path) -> None:
    run("apply", write(ORDERS + SHOP))
    assert "put orders" in run("links", "list").stdout
    assert "shop-update" in run("links", "show", "shop-update").stdout
    event: dict[str, Any] = {"type": "shop.order.created", "data": {"id": "o-1", "title": "Chairs"}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    tried = run("links", "test", "shop-update", "--event", "event.json")
    assert tried.exit_code == 0, tried.output
    assert "put orders/o-1" in tried.stdout
    assert "The outcome would be ok: Created orders/o-1." in tried.stdout
    assert clean.pages("/v1/items/orders") == []
    assert "Its events will wait" in run("links", "pause", "shop-update").stdout
    stored = clean.publish(event["type"], event["data"])
    by_id = json.loads(run("links", "test", "shop-update", "--event", stored, "--json").stdout)
    assert by_id["edit"]["data"] == {"title": "Chairs"}
    assert "1 delivery was waiting." in run("links", "resume", "shop-update").stdout
    until(lambda: clean.pages("/v1/items/orders"), "it is made")
    assert "shop-update" in run("deliveries", "list", "--link", "shop-update").stdout
    assert "shop-update" in run("events", "show", stored).stdout
    ran = run("links", "runs", "shop-update").stdout
    assert stored in ran and "delivered" in ran and "Created orders/o-1." in ran
    assert "not acted yet" not in ran and "There is no link nothing." in run("links", "runs", "nothing").stderr
    assert "is deleted" in run("links", "delete", "shop-update").stdout


@pytest.mark.slow
def test_a_link_with_a_timer_is_listed_tried_and_run(run: Run, write: Any, clean: Api) -> None:
    timed = """\
links:
  standup:
    when: {at: ["09:00", "13:30"], tz: Europe/Berlin, days: mon-fri}
    item: {collection: orders, create: true, data: {title: "{{ data.due }}"}}
"""
    file = write(ORDERS + timed)
    assert run("apply", file).exit_code == 0
    assert run("apply", file).stdout.startswith("Nothing to do")
    assert "at 09:00 13:30 mon-fri, Europe/Berlin" in run("links", "list").stdout
    assert "create orders/itm_" in run("links", "test", "standup").stdout
    assert run("links", "run", "standup").stdout.startswith("standup is running now, for the event evt_")
    until(lambda: clean.pages("/v1/items/orders"), "it runs")
    shown = json.loads(run("links", "show", "standup", "--json").stdout)
    assert shown["next_due"] > shown["created"]
    wrong = run("apply", write(ORDERS + timed.replace("Berlin", "Bärlin")))
    assert "tidings.yaml, line 8, column 40: There is no time zone 'Europe/Bärlin'." in wrong.stderr


@pytest.mark.slow
def test_a_trail_leads_from_the_first_event_to_the_last(run: Run, write: Any, clean: Api) -> None:
    chained = """  invoice:
    when: {event: orders.created}
    item: {collection: invoices, put: "{{ data.id }}", data: {title: "{{ data.title }}"}}
  refused:
    when: {event: invoices.created}
    item: {collection: orders, put: "{{ data.id }}", data: {title: "{{ data.title }}", pieces: "{{ data.title }}"}}
"""
    file = write(ORDERS + "  invoices:\n    fields: {title: string}\n" + SHOP + chained)
    assert run("apply", file).exit_code == 0
    first = clean.publish("shop.order.created", {"id": "o-1", "title": "x"})
    made = lambda: [each for each in clean.pages("/v1/events", type="orders.created") if each["cause"] == first]  # noqa: E731
    middle = until(made, "the first link acts")[0]["id"]
    until(lambda: clean.pages("/v1/deliveries", link="refused", state="dead"), "the last link acts")
    shown = clean.get(f"/v1/events/{middle}/trail")
    assert [(each["type"], each["by"], each["hops"]) for each in shown["events"]] == [
        ("shop.order.created", "key_operator", 0),
        ("orders.created", "shop-update", 1),
        ("invoices.created", "invoice", 2),
    ]
    assert [each["cause"] for each in shown["events"]][:2] == [None, first]
    assert not shown["is_cut"]
    (last,) = shown["events"][2]["deliveries"]
    assert (last["link"], last["state"], last["outcome"], last["attempts"]) == ("refused", "dead", "item_invalid", 1)
    said = run("events", "trail", first).stdout
    assert "    orders.created o-1" in said
    assert "-> refused: dead. The item is not valid. /pieces" in said
    assert run("events", "trail", "evt_none").exit_code == 1
    assert clean.call("GET", "/v1/events/evt_none/trail").status == 404


@pytest.mark.slow
def test_a_link_is_replayed_by_its_name(run: Run, write: Any, clean: Api) -> None:
    assert run("apply", write(ORDERS + SHOP)).exit_code == 0
    event = clean.publish("shop.order.created", {"id": "o-1", "title": "x"})
    until(lambda: clean.pages("/v1/deliveries", event=event, state="delivered"), "the item is put")
    clean.delete("/v1/items/orders/o-1")
    assert "is done: " in run("replay", "--link", "shop-update", "--since", "1h").stdout
    until(lambda: clean.pages("/v1/items/orders"), "the item is put again")
    assert "shop-update" in run("replays", "list").stdout
    for args in ([], ["ep_x", "--link", "shop-update"]):
        said = run("replay", *args, "--since", "1h")
        assert said.exit_code == 1 and "Pass the id of an endpoint, or --link NAME." in said.stderr


@pytest.mark.slow
def test_the_name_of_a_link_is_never_capitalized(run: Run, write: Any) -> None:
    assert run("apply", write(ORDERS + SHOP.replace("shop-update", "goods"))).exit_code == 0
    refused = run("links", "run", "goods")
    assert refused.exit_code == 1 and refused.stderr.startswith("goods acts on events, not on a timer."), refused.stderr
    untried = run("links", "test", "goods")
    assert untried.exit_code == 1 and "--event ID|FILE" in untried.stderr and "event_id" not in untried.stderr


def test_a_refused_file_shows_no_plan(run: Run, write: Any) -> None:
    call = "links:\n  push:\n    when: {event: a.b}\n    call: {via: nowhere, get: /x}\n"
    refused = run("apply", write(ORDERS + call))
    assert refused.exit_code == 1 and "nowhere" in refused.stderr
    assert "will create" not in refused.output


@pytest.mark.slow
def test_a_call_is_tried_with_a_key_that_stands_for_the_real_one(run: Run, write: Any, clean: Api) -> None:
    file = write(
        "connections:\n  crm: {base: 'https://crm.example.com', rate: 10/s}\n"
        "links:\n  push:\n    when: {event: a.b}\n    call: {via: crm, post: /x}\n"
    )
    assert run("apply", file).exit_code == 0
    assert "10/s" in run("connections", "list").stdout
    tried = run("links", "test", "push", "--event", clean.publish("a.b", {})).stdout
    assert "(a placeholder: each delivery has its own)" in tried, tried
    assert run("links", "delete", "push").exit_code == run("connections", "delete", "crm").exit_code == 0


@pytest.mark.slow
def test_a_link_that_fails_is_seen_in_the_list_and_by_doctor(run: Run, clean: Api, tmp_path: Path) -> None:
    clean.put("/v1/connections/gone", {"base": "http://127.0.0.1:9", "private": True})
    clean.put("/v1/links/failing", {"when": {"event": "shop.lost"}, "call": {"via": "gone", "get": "/"}})
    assert "link" in run("doctor", "--data", str(tmp_path)).stdout
    clean.publish("shop.lost")
    until(lambda: clean.get("/v1/links/failing")["health"]["failing_since"], "it fails")
    assert "Failing since 2" in run("links", "list").stdout
    said = run("doctor", "--data", str(tmp_path)).stdout
    assert "failing has been failing since 2" in said and "See: tidings links runs failing" in said
    assert "connect_failed" not in run("links", "runs", "failing").stderr
    assert "waiting" in run("links", "runs", "failing").stdout

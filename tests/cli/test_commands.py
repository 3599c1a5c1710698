"""The commands that call a server: what people read and what scripts get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.client import BadSignature, verify
from tidings.testing import Receiver, TestServer, until

Read = Callable[..., Any]


@pytest.fixture
def endpoint(read: Read, receiver: Receiver) -> Any:
    """An endpoint that gets what begins with `tasks.`, made on the command line."""
    return read("endpoints", "create", receiver.url("/hook"), "--events", "tasks.*", "--set", "rate=1000")


@pytest.mark.slow
def test_an_event_arrives(read: Read, endpoint: Any, receiver: Receiver) -> None:
    event = read("publish", "tasks.done", "--data", '{"price": 1.10, "big": 9007199254740993}', "--subject", "t1")
    [webhook] = receiver.wait_for(1)
    assert webhook.id == event["id"]
    assert b'"data":{"price": 1.10, "big": 9007199254740993}' in webhook.body
    secret = read("endpoints", "secret", endpoint["id"])["secret"]
    assert verify(webhook.headers, webhook.body, secret)["subject"] == "t1"
    with pytest.raises(BadSignature):
        verify(webhook.headers, webhook.body + b" ", secret)


@pytest.mark.slow
def test_the_example_of_a_type_is_published(run: Run, read: Read, server: TestServer) -> None:
    server.api.call("PUT", "/v1/event-types/cakes.sold", b'{"example": {"big": 9007199254740993}}')
    event = read("publish", "cakes.sold", "--example", "--subject", "c1")
    stored = server.api.call("GET", f"/v1/events/{event['id']}").body
    assert b"9007199254740993" in stored
    server.api.put("/v1/event-types/cakes.eaten", {"description": "Without an example."})
    assert "cakes.eaten declares no example. Use --data instead." in run("publish", "cakes.eaten", "--example").stderr
    assert "There is no event type" in run("publish", "cakes.lost", "--example").stderr
    both = run("publish", "cakes.sold", "--example", "--data", "{}")
    assert both.exit_code and "--data or --example" in both.stderr


def test_a_type_in_place_of_a_scheme_is_pointed_to_publish(run: Run) -> None:
    done = run("trigger", "cakes.sold")
    assert done.exit_code and "tidings publish cakes.sold --example" in done.stderr


def test_json_has_the_digits_that_were_published(run: Run, read: Read) -> None:
    data = '{"n": 12345678901234567890.12, "price": 1.10, "small": [1e-7, -0, 1E40, {}]}'
    event = read("publish", "digits.kept", "--data", data)
    scripts, people = run("events", "show", event["id"], "--json"), run("events", "show", event["id"])
    assert data.replace(" ", "") in "".join(scripts.stdout.split())
    assert data in people.stdout
    assert json.loads(scripts.stdout)["id"] == event["id"]


@pytest.mark.slow
def test_data_comes_from_a_file_and_from_stdin(read: Read, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"n": 1}')
    first = read("publish", "files.done", "--data", f"@{tmp_path / 'data.json'}")
    second = read("publish", "files.done", "--data", "-", input='{"n": 2}')
    shown = [read("events", "show", each["id"])["data"] for each in (first, second)]
    assert shown == [{"n": 1}, {"n": 2}]


@pytest.mark.slow
def test_events_are_listed_and_explained(read: Read, run: Run, endpoint: Any) -> None:
    event = read("publish", "other.thing", "--data", "{}", "--subject", "mine")
    until(lambda: read("events", "show", event["id"])["not_matched"], "the event is routed")
    assert [each["id"] for each in read("events", "list", "--subject", "mine", "--since", "1h")] == [event["id"]]
    shown = run("events", "show", event["id"])
    assert "event's type is other.thing" in " ".join(shown.stdout.split())


@pytest.mark.slow
def test_an_endpoint_is_changed_paused_resumed_and_deleted(read: Read, run: Run, endpoint: Any) -> None:
    id = endpoint["id"]
    changed = read(
        "endpoints", "edit", id, "--description", "new", "--filter", '{"data": {"n": 1}}', "--set", "rate=null"
    )
    assert (changed["description"], changed["filter"], changed["rate"]) == ("new", {"data": {"n": 1}}, None)
    assert run("endpoints", "edit", id, "--revision", "1", "--description", "x").exit_code == 1
    assert read("endpoints", "pause", id, "--reason", "lunch")["reason"] == "lunch"
    assert id in [each["id"] for each in read("endpoints", "list", "--state", "paused")]
    assert "is enabled" in run("endpoints", "resume", id).stdout
    assert id in run("endpoints", "list").stdout
    assert "waiting" in run("endpoints", "show", id).stdout
    assert run("endpoints", "delete", id).exit_code == 0
    assert run("endpoints", "show", id).exit_code == 1


@pytest.mark.slow
def test_a_url_that_is_already_registered_is_pointed_out(run: Run, read: Read, receiver: Receiver) -> None:
    url = receiver.url("/twice")
    first = read("endpoints", "create", url, "--events", "tasks.*")
    again = run("endpoints", "create", url, "--events", "tasks.*", "--once")
    assert again.exit_code == 0 and f"{first['id']} is already registered" in again.stdout
    assert [each["id"] for each in read("endpoints", "list") if each["url"] == url] == [first["id"]]
    other = run("endpoints", "create", url, "--events", "orders.*", "--once")
    assert other.exit_code == 1 and f"tidings endpoints edit {first['id']}" in other.stderr
    second = run("endpoints", "create", url, "--events", "tasks.*")
    assert second.exit_code == 0 and f"already registered, as {first['id']}" in second.stderr
    assert len([each for each in read("endpoints", "list") if each["url"] == url]) == 2


@pytest.mark.slow
def test_a_type_that_nobody_publishes_is_pointed_out(run: Run, receiver: Receiver, server: TestServer) -> None:
    server.api.post("/v1/event-types", {"name": "invoices.paid"})
    misspelt = run("endpoints", "create", receiver.url("/types"), "--events", "invoices.payed")
    assert misspelt.exit_code == 0
    assert "no event type matches invoices.payed" in misspelt.stderr and "invoices.paid?" in misspelt.stderr
    assert "no event type" not in run("endpoints", "create", receiver.url("/a"), "--events", "invoices.*").stderr
    server.api.post("/v1/events", {"type": "bills.sent", "data": {}})
    assert "no event type" not in run("endpoints", "create", receiver.url("/b"), "--events", "bills.sent").stderr


def test_a_type_of_our_own_is_known(run: Run, receiver: Receiver) -> None:
    said = run("endpoints", "create", receiver.url("/own"), "--events", "endpoint.*")
    assert said.exit_code == 0 and "no event type" not in said.stderr


def test_a_string_option_needs_no_quotes(read: Read, receiver: Receiver) -> None:
    made = read("endpoints", "create", receiver.url("/bare"), "--set", "body=bare", "--set", 'order="all"')
    assert (made["body"], made["order"]) == ("bare", "all")


@pytest.mark.slow
def test_one_delivery_is_singular(run: Run, read: Read, endpoint: Any) -> None:
    read("endpoints", "pause", endpoint["id"])
    event = read("publish", "tasks.done", "--data", "{}")
    until(lambda: read("events", "show", event["id"])["deliveries"], "it is routed")
    assert "; 1 delivery is being sent." in run("endpoints", "resume", endpoint["id"]).stdout


@pytest.mark.slow
def test_a_secret_is_rotated(read: Read, endpoint: Any) -> None:
    old = read("endpoints", "secret", endpoint["id"])["secret"]
    rotated = read("endpoints", "secret", endpoint["id"], "--rotate", "--overlap-seconds", "60")
    assert rotated["secret"] != old and [each["secret"] for each in rotated["previous"]] == [old]


@pytest.mark.slow
def test_a_test_event_and_its_delivery(read: Read, run: Run, endpoint: Any, receiver: Receiver) -> None:
    sent = read("endpoints", "test", endpoint["id"])
    receiver.wait_for(1)
    [delivery] = until(
        lambda: read("deliveries", "list", "--event", sent["event_id"], "--state", "delivered"), "settled"
    )
    assert "delivered" in run("deliveries", "show", delivery["id"]).stdout
    assert run("deliveries", "cancel", delivery["id"]).exit_code == 1
    assert run("deliveries", "retry", delivery["id"]).stdout.startswith(
        f"{delivery['id']} was already delivered, and is being sent again."
    )
    first, second = receiver.wait_for(2)
    assert first.id == second.id == sent["event_id"]


@pytest.mark.slow
def test_a_delivery_is_cancelled(read: Read, endpoint: Any, receiver: Receiver) -> None:
    receiver.answer(500)
    event = read("publish", "tasks.done", "--data", "{}")
    receiver.wait_for(1)
    chosen = ("--event", event["id"], "--endpoint", endpoint["id"])
    [delivery] = until(lambda: [each for each in read("deliveries", "list", *chosen) if each["attempts"]], "an attempt")
    assert read("deliveries", "cancel", delivery["id"])["state"] == "cancelled"


@pytest.mark.slow
def test_a_replay_is_counted_and_watched_to_its_end(read: Read, run: Run, endpoint: Any, receiver: Receiver) -> None:
    ids = {read("publish", "tasks.done", "--data", "{}")["id"] for _ in range(3)}
    receiver.wait_for(3)
    until(lambda: len(read("deliveries", "list", "--endpoint", endpoint["id"], "--state", "delivered")) == 3, "settled")
    assert read("replay", endpoint["id"], "--since", endpoint["created"], "--dry-run")["would_send"] == 3
    assert len(receiver.requests()) == 3
    ended = run("replay", endpoint["id"], "--since", endpoint["created"])
    assert "is done: 3 deliveries were sent" in ended.stdout
    assert {each.id for each in receiver.wait_for(6)[3:]} == ids
    assert read("replay", endpoint["id"], "--since", endpoint["created"], "--failed")["sent"] == 0


@pytest.mark.slow
def test_keys_are_made_listed_and_revoked(read: Read, run: Run) -> None:
    made = read("keys", "create", "shop", "--scope", "events:write", "--limit", "100/10s", "--limit", "5000/d")
    assert made["limits"] == [{"calls": 100, "seconds": 10}, {"calls": 5000, "seconds": 86400}]
    env = {"TIDINGS_KEY": made["key"]}
    assert run("publish", "shop.sold", "--data", "{}", env=env).exit_code == 0
    forbidden = run("keys", "list", env=env)
    assert forbidden.exit_code == 1 and "scope" in forbidden.stderr
    assert made["id"] in run("keys", "list").stdout and made["key"] not in run("keys", "list").stdout
    assert run("keys", "revoke", made["id"]).exit_code == 0
    assert "--key" in run("publish", "shop.sold", "--data", "{}", env=env).stderr


@pytest.mark.slow
def test_portal_links_are_made_listed_and_ended(read: Read, run: Run, server: TestServer, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    look = ("--product", "Shop", "--accent", "#fc0", "--logo", "logo.svg")
    made = read("portal", "link", "acme", "--read-only", "--expires-in", "30m", *look)
    assert made["url"].startswith(f"{server.url}/portal/ptl_") and made["may"] == "read"
    shown = run("portal", "link", "acme", "--accent", "#fc0").stdout
    assert (
        "opens the portal of acme. The link works only once, until" in shown
        and "#fc0 has" not in shown
        and "#ffcc00 has" in shown
    )
    assert made["id"] in run("portal", "list", "acme").stdout
    assert "ended" in run("portal", "revoke", made["id"]).stdout
    assert run("portal", "revoke-all", "acme").stdout == "1 link is revoked.\n"
    assert "30m, 1h or 7d" in run("portal", "link", "acme", "--expires-in", "soon").stderr


@pytest.mark.slow
def test_declared_things_are_listed_and_shown(read: Read, run: Run, server: TestServer) -> None:
    server.api.call("PUT", "/v1/collections/shelves", {"description": "Of wood", "fields": {"a": {"type": "string"}}})
    server.api.call("PUT", "/v1/event-types/shelf.built", {"description": "It stands"})
    assert "optional" in run("tenants", "list").stdout or "id" in run("tenants", "list").stdout
    assert run("tenants", "create", "carpenter", "--name", "Joseph").stdout == "carpenter is added.\n"
    assert "carpenter" in run("tenants", "create", "carpenter").stderr
    for group, name, says in (
        ("collections", "shelves", "Of wood"),
        ("event-types", "shelf.built", "It stands"),
        ("tenants", "carpenter", "Joseph"),
    ):
        assert name in run(group, "list").stdout and says in run(group, "list").stdout
        assert says in run(group, "show", name).stdout and says in read(group, "show", name).values()
        missing = run(group, "show", "nothing")
        assert missing.exit_code == 1 and "nothing" in missing.stderr
    assert run("tenants", "delete", "carpenter").stdout == "carpenter is deleted.\n"
    assert "carpenter" not in run("tenants", "list").stdout


@pytest.mark.slow
def test_replays_are_listed_shown_and_cancelled(read: Read, run: Run, receiver: Receiver) -> None:
    endpoint = read("endpoints", "create", receiver.url("/again"), "--events", "again.*")["id"]
    replay = read("replay", endpoint, "--since", "1h")
    assert replay["id"] in run("replays", "list").stdout
    assert read("replays", "show", replay["id"])["state"] == replay["state"]
    said = run("replays", "cancel", replay["id"])
    assert (said.exit_code, "done" in said.stderr) == (1, True), said.output


@pytest.mark.slow
def test_a_file_of_events_that_breaks_off_can_be_resumed(
    read: Read, run: Run, tmp_path: Path, server: TestServer
) -> None:
    lines = [json.dumps({"type": "files.line", "subject": "f1", "data": {"n": n}}) for n in range(1, 2501)]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join([*lines[:1199], '{"type": "bad..type", "data": {}}', *lines[1200:]]) + "\n\n")
    broken = run("publish", "--file", str(path))
    assert broken.exit_code == 1
    assert "line 1200 at /type" in broken.stderr and "1,000 events are published" in broken.stderr
    token = broken.stderr.split("--resume ")[1].strip().rstrip(".")
    path.write_text("\n".join(lines))
    assert read("publish", "--file", str(path), "--resume", token) == {"published": 1500}
    # The same part once more changes nothing: its batches carry the same idempotency keys.
    assert read("publish", "--file", str(path), "--resume", token) == {"published": 1500}
    stored = read("events", "list", "--subject", "f1", "--limit", "5000")
    assert sorted(each["data"]["n"] for each in stored) == list(range(1, 2501))


def test_a_line_that_is_not_json_is_named(run: Run) -> None:
    said = run("publish", "--file", "-", input='{"type": "a.b", "data": {}}\n{"type":\n')
    assert said.exit_code == 1 and "Line 2 is not valid JSON" in said.stderr
    # As when the server refuses an event: what stands before it in its batch is not sent either.
    assert "0 events are published" in said.stderr


def test_publishing_an_id_again_says_that_it_may_be_a_repeat(run: Run) -> None:
    for _ in range(2):
        said = run("publish", "a.b", "--data", "{}", "--id", "once")
        assert (
            said.stdout
            == "once is published. If an event with this id had already been stored, it was not sent again.\n"
        )


@pytest.mark.slow
def test_a_key_that_may_only_register_endpoints_can(read: Read, run: Run, receiver: Receiver) -> None:
    made = read("keys", "create", "registers", "--scope", "endpoints:write")
    env = {"TIDINGS_KEY": made["key"]}
    said = run("endpoints", "create", receiver.url("/only"), env=env)
    assert said.exit_code == 0 and "is registered." in said.stdout
    once = run("endpoints", "create", receiver.url("/only"), "--once", env=env)
    assert once.exit_code == 1 and "endpoints:read" in once.stderr


def test_the_list_of_keys_shows_what_permits_allow(run: Run, server: TestServer) -> None:
    server.api.call("PUT", "/v1/collections/permitted", {"fields": {"a": {"type": "string"}}})
    permit = {"collection": "permitted", "verbs": ["list", "create"]}
    server.api.post("/v1/keys", {"name": "by permit", "scopes": [], "permits": [permit]})
    assert "permitted: list create" in run("keys", "list").stdout


@pytest.mark.slow
def test_all_types_and_all_scopes_are_spelled_out_in_lists(run: Run, read: Read, receiver: Receiver) -> None:
    made = read("endpoints", "create", receiver.url("/all"))
    assert made["events"] == ["*"]
    [row] = [line for line in run("endpoints", "list").stdout.splitlines() if made["id"] in line]
    assert "  * (all)" in row
    [row] = [line for line in run("keys", "list").stdout.splitlines() if "key_operator" in line]
    assert "  * (all)" in row
    run("endpoints", "delete", made["id"])


@pytest.mark.slow
def test_a_key_is_made_with_permits(run: Run, read: Read, server: TestServer) -> None:
    fields = {"fields": {"title": {"type": "string"}, "cost": {"type": "number"}}}
    for name in ("desks", "lamps"):
        server.api.call("PUT", f"/v1/collections/{name}", fields)
        server.api.call("PUT", f"/v1/items/{name}/one", {"title": "a", "cost": 1})
    lamps = 'lamps={"verbs": ["get"], "read": ["title"]}'
    made = read("keys", "create", "shop", "--permit", "desks=list, get", "--permit", lamps)
    env = {"TIDINGS_KEY": made["key"]}
    assert read("items", "show", "desks", "one", env=env)["cost"] == 1
    assert "cost" not in read("items", "show", "lamps", "one", env=env)
    assert run("items", "delete", "desks", "one", env=env).exit_code == 1
    said = run("keys", "create", "shop", "--permit", "desks=list")
    assert "may desks: list." in said.stdout
    for permit, sentence in (
        ("desks", "--permit must have the form NAME=VALUE, such as tasks=list,get"),
        ("desks={", "permit for desks is not valid JSON"),
        ("desks=look", "look"),
        ("nowhere=list", "nowhere"),
    ):
        wrong = run("keys", "create", "shop", "--permit", permit)
        assert wrong.exit_code == 1 and sentence in wrong.stderr, wrong.stderr
    neither = run("keys", "create", "shop")
    assert neither.exit_code == 1 and "at least one --scope, such as events:write, or one --permit" in neither.stderr


@pytest.mark.slow
def test_the_list_of_deliveries_shows_what_is_held(run: Run, read: Read, receiver: Receiver) -> None:
    receiver.answer(500)
    made = read("endpoints", "create", receiver.url("/line"), "--events", "line.*", "--set", "order=all")["id"]
    for _ in range(3):
        read("publish", "line.a", "--data", "{}")
    list_them = ("deliveries", "list", "--endpoint", made)
    until(lambda: [each["attempts"] for each in read(*list_them)] == [0, 0, 1], "the first one waits for its retry")
    held = [(each["held"], each["due"] is None) for each in read(*list_them)]
    assert held == [(True, True), (True, True), (False, False)]
    rows = run(*list_them).stdout.splitlines()[1:]
    assert [row.split()[-1] == "held" for row in rows] == [True, True, False]
    read("endpoints", "delete", made)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["publish", "tasks.done"], "Pass either a TYPE with --data"),
        (["publish", "tasks.done", "--data", "{"], "--data is not valid JSON"),
        (["publish", "tasks..done", "--data", "{}"], "/type: An event type must consist of words"),
        (["publish", "--file", "none.ndjson"], "none.ndjson cannot be read"),
        (["publish", "--file", "x", "--subject", "y"], "so omit TYPE, --data and the like"),
        (["publish", "--file", "-", "--resume", "x"], "--resume requires the value that the error message showed"),
        (["events", "list", "--since", "yesterday"], "'yesterday' is not a time"),
        (["events", "show", "evt_x"], "There is no event evt_x."),
        (["endpoints", "create", "http://10.0.0.1/"], "TIDINGS_ALLOW_ADDRESSES"),
        (["endpoints", "create", "http://127.0.0.1/", "--set", "speed=1"], "speed"),
        (["endpoints", "create", "http://127.0.0.1/", "--set", "rate"], "NAME=VALUE"),
        (["endpoints", "create", "http://127.0.0.1/", "--header", "x"], "'Name: value'"),
        (["endpoints", "edit", "ep_x"], "Pass at least one option to change"),
        (["deliveries", "list", "--state", "waitin"], "state must be one of waiting, delivered, dead, cancelled"),
        (["keys", "create", "x"], "at least one --scope"),
        (["keys", "create", "x", "--scope", "events:write", "--limit", "10"], "--limit must have the form"),
        (["publish", "a.b", "--data", "@nofile"], "The file nofile cannot be read"),
        (
            ["endpoints", "create", "http://127.0.0.1/", "--set", "rate=-1", "--set", "timeout_seconds=31"],
            " must be 0.001 to 100,000 events per second, not -1. timeout_seconds must be 0.1 to 30 seconds, not 31.",
        ),
        (
            ["endpoints", "create", "http://127.0.0.1/", "--set", 'batch={"max_bytes": 100000000000}'],
            "batch.max_bytes must be 1,024 to 16,777,216 bytes, not 100,000,000,000.",
        ),
        (["endpoints", "create", "http://127.0.0.1/", "--set", 'batch={"max_bytes": 1'], "is not valid JSON"),
        (["events", "list", "--since", "2h", "--until", "3h"], ") must be earlier than --until ("),
        (["deliveries", "list", "--since", "2h", "--until", "3h"], ") must be earlier than --until ("),
        (["endpoints", "list", "--url", "ftp://x"], "not an http:// or https:// URL"),
        (["endpoints", "list", "--url", "http://127.0.0.1:1"], "Is it running?"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, args: list[str], sentence: str) -> None:
    said = run(*args, input="")
    assert said.exit_code == 1
    assert sentence in said.stderr and said.stdout == ""


def test_bars_are_for_terminals_only(run: Run, tmp_path: Path) -> None:
    said = run("publish", "--file", "-", input='{"type": "a.b", "data": {}}\n')
    assert said.stdout == "1 event is published.\n" and said.stderr == ""


def test_a_limit_is_at_least_one(run: Run) -> None:
    said = run("endpoints", "list", "--limit", "0")
    assert said.exit_code == 2 and "The number must be at least 1." in said.stderr

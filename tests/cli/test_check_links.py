"""`tidings check` on links: their tests, and templates that name fields which no event has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.testing import TestServer

Read = Callable[..., Any]

FILE = """\
collections:
  orders: {fields: {total: {type: decimal, scale: 2}, buyer: string, lines: array, more: object}}
  seen: {fields: {who: string}}
connections:
  shop: {base: "https://shop.example.com/api", auth: {oauth2: client_credentials, token: /t, id: i, secret: s}}
  post: {smtp: "smtp://127.0.0.1:1025", from: a@acme.example, private: true}
links:
"""
CALL = """\
  push:
    when: {event: [orders.created, orders.updated]}
    filter: {data: {buyer: {$exist: true}}}
    if: "{{ data.buyer != 'nobody' }}"
    call:
      via: shop
      put: "/orders/{{ data.id }}"
      query: {a: "{{ data.total }}", b: 1}
      headers: {X-Day: "{{ time | date }}"}
      json: {sum: "{{ data.total }}", who: "{{ data.buyer }}", n: 1, crm: "{{ mine.id }}"}
    tests:
"""
MAIL = """\
  hello:
    when: {event: orders.created}
    split: "{{ data.lines }}"
    mail: {via: post, to: "{{ item }}", subject: "Hi {{ data.buyer }}", text: x}
    tests:
"""
ITEM = """\
  edit:
    when: {event: orders.*}
    item: {collection: seen, put: "{{ data.id }}", data: {who: "{{ previous.buyer or data.buyer }}"}}
    tests:
"""


def written(folder: Path, link: str, *tests: Any) -> str:
    lines = "".join(f"      - {json.dumps(test)}\n" for test in tests)
    (folder / "t.yaml").write_text(FILE + link + lines)
    return "t.yaml"


ADA = {"id": "a/1", "buyer": "Ada", "total": "1.50"}


@pytest.mark.slow
def test_tests_of_calls_mails_and_edits_pass(run: Run, read: Read, tmp_path: Path) -> None:
    event = {"data": ADA, "time": "2026-01-31T09:00:00Z"}
    (tmp_path / "t.yaml").write_text(
        FILE
        + CALL
        + "".join(
            f"      - {json.dumps(test)}\n"
            for test in (
                {"event": event, "expect": {"put": "/orders/a%2F1", "query": {"a": "1.50", "b": 1}}},
                {"event": event, "expect": {"json": {"sum": "1.50", "who": "Ada", "n": 1}}},
                {
                    "event": event,
                    "mine": {"id": 7},
                    "expect": {"json": {"sum": "1.50", "who": "Ada", "n": 1, "crm": 7}},
                },
                {"event": event, "expect": {"headers": {"x-day": "2026-01-31"}}},
                {"event": {"data": {"id": 1}}, "expect": "nothing"},
                {"event": {"data": {"id": 1, "buyer": "nobody"}}, "expect": "nothing"},
                {"event": {"data": ADA, "type": "orders.deleted"}, "expect": "nothing"},
            )
        )
        + MAIL
        + "      - {event: {data: {buyer: Ada, lines: [a@b.c, d@e.f]}}, "
        "expect: [{to: a@b.c, subject: Hi Ada}, {to: d@e.f, text: x}]}\n"
        "      - {event: {data: {buyer: Ada, lines: []}}, expect: nothing}\n" + ITEM + "      - {event: {data: {id: x, "
        "buyer: B}, previous: {buyer: A}}, expect: {put: x, data: {who: A}}}\n"
    )
    assert "All link tests in the file pass." in run("check", "t.yaml").stdout
    assert read("check", "t.yaml")["ok"]


@pytest.mark.parametrize(
    ("link", "test", "said"),
    [
        (
            CALL,
            {"event": {"data": ADA}, "expect": {"put": "/orders/1"}},
            'put: expected "/orders/1", but it is "/orders/a%2F1"',
        ),
        (
            CALL,
            {"event": {"data": ADA}, "expect": {"post": "/orders/1"}},
            'expected post "/orders/1", but it is put "/orders/a%2F1"',
        ),
        (
            CALL,
            {"event": {"data": ADA}, "expect": {"json": {"sum": 1.5, "n": 1}}},
            'json.sum: expected 1.5, but it is "1.50"',
        ),
        (CALL, {"event": {"data": ADA}, "expect": {"json": {"n": 1}}}, 'json.who: "Ada" was not expected'),
        (CALL, {"event": {"data": ADA}, "expect": {"json": {"n": True}}}, "json.n: expected true, but it is 1"),
        (CALL, {"event": {"data": ADA}, "expect": "nothing"}, "it acts, but nothing was expected"),
        (CALL, {"event": {"data": {}}, "expect": {"put": "/x"}}, "it does nothing: "),
        (
            CALL,
            {"event": {"data": {**ADA, "id": ".."}}, "expect": "nothing"},
            "it does nothing: The template at /call/put",
        ),
        (MAIL, {"event": {"data": {"lines": ["a@b.c"]}}, "expect": {"to": "x"}}, 'to: expected "x", but it is "a@b.c"'),
        (MAIL, {"event": {"data": {"lines": ["a", "b"]}}, "expect": {}}, "it does nothing: The template at /mail/to"),
        (
            MAIL,
            {"event": {"data": {"lines": ["a@b.c", "b@b.c"]}}, "expect": {"to": "a@b.c"}},
            "expected 1 delivery, but it makes 2",
        ),
        (ITEM, {"event": {"data": {"id": "x"}}, "expect": {"patch": "x"}}, 'expected patch "x", but it is put "x"'),
    ],
)
def test_each_difference_is_reported_with_its_line(
    link: str, test: dict[str, Any], said: str, run: Run, tmp_path: Path
) -> None:
    failed = run("check", written(tmp_path, link, {"name": "mine", **test}))
    assert failed.exit_code == 1
    line = len((FILE + link).splitlines()) + 1
    assert f"t.yaml, line {line}, column 9: test 1 of {link.split(':')[0].strip()} (mine): {said}" in failed.stderr


@pytest.mark.parametrize(
    ("link", "test", "said"),
    [
        (CALL, {"event": {}, "expect": {"pt": 1}}, "'pt' is unknown here"),
        (CALL, {"event": {"dta": {}}, "expect": "nothing"}, "'dta' is unknown here"),
        (CALL, {"event": {}}, "A test needs `expect`"),
        (CALL, {"event": {"time": "noon"}, "expect": "nothing"}, "`time` must be a time such as"),
        (CALL, {"expects": {}}, "'expects' is unknown here"),
        (
            CALL.replace("{event: [orders.created, orders.updated]}", "{every: 1h}").replace("    filter", "    #"),
            {},
            "Only a link that acts on events",
        ),
    ],
)
def test_a_malformed_test_is_refused(link: str, test: dict[str, Any], said: str, run: Run, tmp_path: Path) -> None:
    assert said in run("check", written(tmp_path, link, test)).stderr


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (
            "{when: {event: a.b}, mail: {via: shop, to: a@b.c, subject: s, text: t}}",
            "`mail` needs a connection to a mail server",
        ),
        (
            "{when: {event: a.b}, call: {via: post, get: /a}}",
            "`call` needs a connection to an HTTP server, but post is a connection to a mail server.",
        ),
        ("{when: {event: a.b}, item: {collection: seen, put: a, data: {wo: 1}}}", "There is no field 'wo' in seen."),
        (
            "{when: {hook: {path: a, scheme: github}}, call: {via: shop, post: /a}}",
            "A link with a hook or form only receives requests, so it can have `when` and `emit`, but not 'call'.",
        ),
        ("{when: {webhook: a}, call: {via: shop, post: /a}}", "In a file, `when` can have `hook` or `form` instead."),
        (
            "{when: a.b, call: {via: shop, get: /a}}",
            "`when` must be an object such as {event: tasks.completed}, not 'a",
        ),
        (
            "{when: {every: 1h, timezone: UTC}, call: {via: shop, get: /a}}",
            "'timezone' is unknown here. Did you mean tz?",
        ),
        ("{when: {event: a.b}, call: {via: shop, post: /a, body: x}}", "'body' is unknown here. Did you mean json?"),
    ],
)
def test_what_somebody_new_writes_is_refused_with_what_to_write(link: str, said: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(f"{FILE}  mine: {link}\n")
    wrong = run("check", "t.yaml")
    assert wrong.exit_code == 1 and "is valid" not in wrong.stdout
    assert "t.yaml, line 8, column " in wrong.stderr and said in wrong.stderr, wrong.stderr


def test_what_is_not_in_the_file_may_be_on_the_server(run: Run, tmp_path: Path) -> None:
    link = "{when: {event: a.b}, item: {collection: elsewhere, create: true, data: {}}}"
    (tmp_path / "t.yaml").write_text(
        f"links:\n  mine: {link}\n  other: {{when: {{event: a.b}}, call: {{via: far, get: /a}}}}\n"
    )
    assert run("check", "t.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("link", "name", "hint"),
    [
        ('call: {via: shop, put: "/o/{{ data.idd }}"}', "data.idd", "id"),
        ('call: {via: shop, post: /o, query: {a: "{{ data.totl }}"}}', "data.totl", "total"),
        ('call: {via: shop, post: /o, headers: {A: "{{ data.byer }}"}}', "data.byer", "buyer"),
        ('call: {via: shop, post: /o, form: {a: ["{{ 1 + (data.totl | int) }}"]}}', "data.totl", "total"),
        ("call: {via: shop, post: /o, xml: '<a b=\"{{ data.totl }}\"/>'}", "data.totl", "total"),
        ('call: {via: shop, post: /o, text: "{% for x in data.lins %}{% endfor %}"}', "data.lins", "lines"),
        ('call: {via: shop, post: /o, ok: "{{ status == 200 and data.totl }}"}', "data.totl", "total"),
        ('mail: {via: post, to: "{{ data.byer }}", subject: a, text: a}', "data.byer", "buyer"),
        ('mail: {via: post, to: a@b.c, subject: "{{ data.byer }}", html: a}', "data.byer", "buyer"),
        ('item: {collection: seen, put: "{{ data.idd }}", data: {}}', "data.idd", "id"),
        ('item: {collection: seen, put: a, data: {who: "{{ old.byer }}"}}', "old.byer", "buyer"),
        ('if: "{{ data.byer }}"\n    item: {collection: seen, put: a, data: {}}', "data.byer", "buyer"),
        ('once: "{{ data.byer }}"\n    item: {collection: seen, put: a, data: {}}', "data.byer", "buyer"),
        ('split: "{{ data.lins }}"\n    item: {collection: seen, put: a, data: {}}', "data.lins", "lines"),
        ('order: "{{ data.byer }}"\n    item: {collection: seen, put: a, data: {}}', "data.byer", "buyer"),
        (
            'call: {via: shop, get: /o}\n    emit: {type: o, key: "{{ record.id }}{{ data.byer }}"}',
            "data.byer",
            "buyer",
        ),
    ],
)
def test_a_field_that_no_event_has_is_reported_wherever_a_template_names_it(
    link: str, name: str, hint: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(f"{FILE}  one:\n    when: {{event: orders.*}}\n    {link}\n")
    said = run("check", "t.yaml").stderr
    assert f"have no {name}. Did you mean {hint}?" in said
    assert "warning: orders.created, orders.updated, orders.deleted" in said


@pytest.mark.slow
def test_the_server_reports_fields_of_types_with_a_schema(run: Run, server: TestServer, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"sku": {"type": "string"}}}
    server.api.put("/v1/event-types/goods.made", {"schema": schema})
    (tmp_path / "t.yaml").write_text(
        f'{FILE}  one:\n    when: {{event: goods.made}}\n    call: {{via: shop, put: "/o/{{{{ data.sk }}}}"}}\n'
    )
    assert "warning" not in run("check", "t.yaml").stderr, "only the server knows the type"
    planned = run("apply", "t.yaml", "--plan")
    assert "t.yaml, line 10, column 23: warning: goods.made has no data.sk. Did you mean sku?" in planned.stderr
    assert planned.exit_code == 3, "it is reported, not refused"


@pytest.mark.parametrize(
    ("when", "name"),
    [
        ("orders.created", "data.buyer"),
        ("orders.created", "data.more.anything"),
        ("orders.created", "data.lines[0].sku"),
        ("orders.created", "data.revision"),
        ("other.created", "data.anything"),
        ("[orders.created, other.made]", "data.anything"),
        ("[orders.created, seen.created]", "data.who"),
        ('"*"', "data.anything"),
    ],
)
def test_fields_that_an_event_has_or_may_have_are_not_reported(when: str, name: str, run: Run, tmp_path: Path) -> None:
    link = f'  one:\n    when: {{event: {when}}}\n    call: {{via: shop, put: "/o/{{{{ {name} }}}}"}}\n'
    (tmp_path / "t.yaml").write_text(FILE + link)
    assert "warning" not in run("check", "t.yaml").stderr

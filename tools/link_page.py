"""The page of the members of links and connections in docs/reference, made from what their declarations may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tidings.model.calls.connection import TIMEOUT_SECONDS
from tidings.model.link import BODY_FORMS, VERBS, Pacing
from tidings.rules.calls import authentication, oauth1, oauth2, signing
from tidings.rules.calls.request import OF_ANSWER
from tidings.rules.calls.texts import AUTH as AUTH_NAME
from tidings.rules.declare import actions, calls, connections, links, mail
from tidings.rules.declare.in_file import link_tests
from tidings.rules.declare.pacing import IN_FLIGHT_MAX, TIMEOUT_SECONDS_MAX
from tidings.rules.guard import ITEM as ITEM_NAME
from tidings.rules.guard import MINE
from tidings.rules.mirror import declared as mirror
from tidings.rules.mirror import pages
from tidings.rules.mirror.cursors import OVERLAP_SECONDS
from tidings.rules.mirror.observer import OF_RECORD
from tidings.rules.reading import durations
from tidings.rules.template import SCOPE
from tidings.rules.timers import declared as timers


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]

RATE = "The maximum rate of requests: `5/s`, `100/min`, `1000/h`, or a number per second."
IN_DOUBT = (
    "What to do if the response is lost: `retry`, or `park` (the delivery is dead, with the outcome `in_doubt`). By "
    "default, calls that are safe to repeat are retried: GET, HEAD, PUT, DELETE, and calls with their own "
    "`Idempotency-Key`."
)
LINK = {
    "was": "The link's previous name. The renamed link keeps its state and its waiting deliveries.",
    "description": "Text for people.",
    "tenant": 'The tenant whose events the link gets, or `"*"` for all tenants. By default, the link gets only '
    "events without a tenant.",
    "when": "When the link acts; see below.",
    "filter": "A JSON pattern over `type`, `subject`, `data`, `previous` and `changed`, like the filter of an "
    "[endpoint](../howto/endpoints.md#choose-which-events-it-gets).",
    "if": "A template: the link acts only if its value is true. Otherwise, the outcome is `skipped`.",
    "once": "A template that yields a key: the link succeeds only once for each key.",
    "split": "A template that yields a list: each element has its own delivery, and templates see it as `item`.",
    "item": "Edit an item of a collection; see below.",
    "call": "Make an HTTP request; see below.",
    "mail": "Send an email; see below.",
    "emit": "Make events from the responses to `call`; see below.",
    "keep": "`{NAME: TEMPLATE}`: values of the response to keep for the event's subject. The templates of later calls "
    "read them as `mine.NAME`. Null deletes a value. The templates of `keep` also see `status`, `headers` and `body`.",
    "order": "`each` (default): events of one subject are processed in order. `subject`: the same, but a newer event "
    "replaces a waiting one. `all`: one event at a time. `none`: in any order. Or a template: events for which it "
    "yields the same value are processed in order.",
    "order_max_age_seconds": "The age, in seconds, up to which a failing event keeps the events behind it waiting "
    f"(default {Pacing().order_max_age_seconds:,}).",
    "rate": RATE,
    "max_in_flight": "The maximum number of concurrent requests "
    f"(default {Pacing().max_in_flight}, up to {IN_FLIGHT_MAX:,}).",
    "retry_delays_seconds": "A list of the delays before attempts 1, 2, 3 and so on, in seconds, instead of the "
    "default schedule.",
}
WHEN = {
    "event": "A type, a pattern such as `orders.*`, or a list of them.",
    "every": "An interval, such as `90s`, `15m`, `1h30m` or `2d`.",
    "at": 'A time of day such as `"09:00"`, or a list of them.',
    "cron": "`minute hour day-of-month month day-of-week`.",
    "days": "With `at`: the days of the week, such as `mon-fri` or `mon,thu`.",
    "tz": "The time zone of `at` and `cron`, such as `Europe/Berlin`; UTC by default.",
    "missed": "What to do about missed times: `once` (default: one run for all of them) or `skip`.",
    "hook": "Only in a file, and without other members: receive webhooks "
    "([hooks-in-a-file](../howto/hooks-in-a-file.md)).",
    "form": "Only in a file, and without other members: a form that people fill in ([forms](../howto/forms.md)).",
}
ITEM = {
    "collection": "The collection.",
    "create": "`true`: create an item with a generated id.",
    "put": "A template for the id: create the item, or replace it.",
    "patch": "A template for the id: change the fields in `data`.",
    "delete": "A template for the id: delete the item.",
    "data": "The fields: an object of templates, or one template that yields an object.",
}
CALL: dict[str, str] = {
    "via": "The name of the connection. Without one, the path must be a complete URL.",
    **dict.fromkeys(
        VERBS, "The method (exactly one), with a template for the path. Inserted values are percent-encoded."
    ),
    "query": "Query parameters: an object of templates. A parameter without a value is left out.",
    "headers": "Headers: an object of templates.",
    "json": "A JSON body. A string that is nothing but `{{ }}` becomes the value itself, of any type; a member "
    "without a value is left out.",
    "form": "A form-encoded body: an object of templates.",
    "xml": "An XML body, as text. Inserted values are escaped.",
    "text": "A plain-text body.",
    "ok": "A template over `status`, `headers` and `body` that is true if the call succeeded. By default, any 2xx "
    "response that is not a SOAP fault is a success.",
    "in_doubt": IN_DOUBT,
    "give_up_on": 'Statuses after which the delivery is dead at once, such as `[409]` or `["4xx"]`.',
    "timeout_seconds": "The time limit of a request, in seconds, instead of the connection's.",
    "sign": "Sign each request: `standard-webhooks`, or an object; see below.",
    "pages": "With `emit`: how to get the next page; see below.",
    "gone": "With `emit`: statuses that mean that the record was deleted, such as `[404, 410]`.",
    "empty": "With `emit`: statuses that mean that there are no records, such as `[204]`.",
}
PAGES: dict[str, str] = {
    "next": "A template for the next page's URL; its value is empty after the last page.",
    "while": "A template that is true if there is a next page.",
    **dict.fromkeys(
        ("query", "headers", *BODY_FORMS, *VERBS),
        "What differs in the request for the next page. `n` is the number of the page just read, from 1.",
    ),
}
SIGN = {
    "scheme": "The name of one of the [schemes](schemes.md), or your own scheme.",
    "secret": "The secret, or the private key in PEM format.",
    "secrets": "Several secrets, newest first.",
    "settings": "Other values that the scheme requires.",
}
EMIT = {
    "type": "The type of the events. Unless `mode` is `all`, `.created`, `.updated` or `.deleted` is appended.",
    "each": "The path of the records in the response, such as `data.items`; `*` stands for any name.",
    "key": "The field that identifies a record, or a template for the key.",
    "data": "A template for the part of a record that is kept in the mirror and sent in events.",
    "mode": "`changes` (default): compare records with the mirror. `all`: each record becomes an event.",
    "only": "The fields that count as a change.",
    "ignore": "The fields that do not count as a change.",
    "deleted": "A template that is true for a deleted record.",
    "cursor": "How a link with a timer keeps track of how far it has read; see below.",
    "sweep": "How often to read everything, so that missing records count as deleted: `1d`, `true` (on each run), or "
    "`{every: 1d, most: 0.2}`.",
}
CURSOR = {
    "record": "The field with the time or number of the last change.",
    "body": "The path of a token in the response.",
    "header": "The response header that contains a token, such as `ETag`.",
    "clock": "`true`: the time of the last request.",
    "from": "Where to begin: `now`, or a time.",
    "overlap": f"How far back to read again on each run (default `{durations.text(OVERLAP_SECONDS)}`).",
    "order": "`asc`: the records are sorted by the cursor's field, so the cursor moves with each page.",
}
MAIL = {
    "via": "The connection to the mail server.",
    "to": "An address, a list of addresses, or a template for either.",
    "subject": "The subject.",
    "text": "The content as plain text.",
    "html": "The content as HTML. Inserted values are escaped.",
    "in_doubt": "`retry`: send the email again if the server's response is lost. By default, it is not sent again.",
}
CONNECTION = {
    "base": "The URL that comes before every path.",
    "smtp": "A mail server instead: `smtp://HOST:PORT` or `smtps://HOST:PORT`.",
    "from": "With `smtp`: the sender's address.",
    "description": "Text for people.",
    "auth": "The credentials; see below.",
    "headers": "Headers to add to every request. Their values are encrypted at rest and never shown again.",
    "rate": RATE + " All links of the connection share this limit.",
    "max_in_flight": f"The maximum number of concurrent requests, across all links (up to {IN_FLIGHT_MAX:,}).",
    "timeout_seconds": "The time limit of a request, in seconds "
    f"(default {TIMEOUT_SECONDS:g}, up to {TIMEOUT_SECONDS_MAX:g}).",
    "private": "The private addresses that the connection may call: `true` for private and loopback addresses, or a "
    "list of ranges.",
    "ca": "A certificate authority to trust, in PEM format.",
    "client_certificate": "The certificate to present: `{certificate, key}` in PEM format.",
}
AUTH = {
    "bearer": "A token.",
    "basic": "`[USER, PASSWORD]`.",
    "header": "`{NAME: VALUE}`.",
    "oauth2": "`client_credentials`, `refresh_token` or `jwt_bearer`.",
    "oauth1": f"{' or '.join(f'`{each}`' for each in oauth1.METHODS)} (OAuth 1.0a).",
}
OAUTH2 = {
    "oauth2": AUTH["oauth2"],
    "token": "The URL of the token endpoint, or a path on the host of `base`.",
    "id": "The client's id.",
    "secret": "The client's secret.",
    "scope": "The scope to request.",
    "refresh_token": "The first refresh token. If the service rotates it, Tidings stores the new one.",
    "key": "With `jwt_bearer`: the private key, in PEM format.",
    "kid": "The key's id.",
    "alg": "The algorithm; by default, it depends on the key.",
    "audience": "The `audience` parameter of the token request; with `jwt_bearer`, the JWT's `aud`.",
    "subject": "With `jwt_bearer`: the JWT's `sub`.",
    "assertion": "What the JWT is used as: `grant` (authorization grant) or `client` (client authentication).",
    "claims": "Additional claims of the JWT.",
    "client_auth": "`basic` (default) or `body`: how the id and the secret are sent.",
    "params": "Additional parameters of the token request.",
}
OAUTH1 = {
    "oauth1": AUTH["oauth1"],
    "place": "Where the signature goes: `header` (default), or `soap`, as `{{ auth.soap_header }}` in the envelope.",
    "account": "The NetSuite account, sent as the realm.",
    "id": "The consumer key.",
    "secret": "The consumer secret.",
    "token": "The token.",
    "token_secret": "The token's secret.",
}
TEST = {
    "name": "Text for people.",
    "event": "The event: `data` and, if they matter, `type`, `subject`, `time`, `tenant`, `previous`, `changed`.",
    "mine": "The kept values that templates see as `mine`.",
    "expect": "The edit, call or email that the event should cause, or `nothing` "
    "([test-links](../howto/test-links.md)).",
}
SEEN = (
    (_named(SCOPE), "every part", "The event. `old` is short for `previous`."),
    (_named((MINE,)), "calls", "The values that `keep` has stored for the subject."),
    (_named((ITEM_NAME,)), "links with `split`", "The element."),
    (_named((AUTH_NAME,)), "`headers` and `xml` of a call", "The connection's credentials."),
    (
        _named(pages.OF_REQUEST),
        "calls of links with `emit`",
        "The cursor, the time of the request, and the number of the page.",
    ),
    (_named(OF_ANSWER), "`ok` and `keep`", "The response."),
    (_named(OF_RECORD), "`emit`", "A record, and the response that contains it."),
    (_named(pages.OF_PAGE), "`pages`", "The page just read. `name` is the name of the element in a SOAP body."),
)
PARTS: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
    ("A link", "`links: {NAME: {...}}`. A link has `when`, and one of `item`, `call` and `mail`.", LINK, links.PARTS),
    (
        "`when`",
        "`when` has `event`, a timer (`every`, `at` or `cron`), or both.",
        WHEN,
        ("event", *timers.PARTS, "hook", "form"),
    ),
    ("`item`", "`item` has exactly one of `create`, `put`, `patch` and `delete`.", ITEM, actions.ITEM_PARTS),
    ("`call`", "", CALL, (*calls.PARTS, *calls.OF_EMIT)),
    ("`pages` of a call", "", PAGES, pages.PARTS),
    ("`sign` of a call", "", SIGN, signing.PARTS),
    ("`mail`", "", MAIL, mail.PARTS),
    ("`emit`", "", EMIT, mirror.PARTS),
    ("`cursor` of `emit`", "`cursor` has one of the first four members.", CURSOR, mirror.CURSOR_PARTS),
    ("`tests` of a link", "A list of tests.", TEST, link_tests.PARTS),
    ("A connection", "`connections: {NAME: {...}}`. A connection has `base` or `smtp`.", CONNECTION, connections.PARTS),
    ("`auth` of a connection", "`auth` has one of these members.", AUTH, authentication.KINDS),
    ("OAuth 2", "", OAUTH2, oauth2.PARTS),
    ("OAuth 1.0a", "", OAUTH1, oauth1.PARTS),
)
"""Each part of a declaration: what it is called, what to know of it, its members, and those that can be declared."""


def lines(table: Table) -> Iterator[str]:
    """The page without its title."""
    yield "Every member of links and connections, in `tidings.yaml` and in the API. [links.md](../howto/links.md) and"
    yield "[call-an-api.md](../howto/call-an-api.md) introduce them. Unknown members are refused."
    yield ""
    yield "## What templates see"
    yield ""
    yield table(("names", "in the templates of", "meaning"), SEEN)
    for name, about, told, known in PARTS:
        assert set(told) == set(known), f"{name}: {set(told) ^ set(known)}"
        yield ""
        yield f"## {name[0].upper()}{name[1:]}"
        yield ""
        if about:
            yield about
            yield ""
        yield table(("member", "meaning"), _rows(told))


def _rows(told: dict[str, str]) -> Iterator[tuple[str, str]]:
    """One row for each meaning: members that share one are in one row."""
    named: dict[str, list[str]] = {}
    for name, meaning in told.items():
        named.setdefault(meaning, []).append(f"`{name}`")
    return ((", ".join(names), meaning) for meaning, names in named.items())

"""What `tidings doctor` asks a running server: whether it is ready and accepts the key, its clock, what is failing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from itertools import islice

from tidings.cli.local.doctor_local import Finding
from tidings.cli.terminal.sentences import counted
from tidings.client import Client, ClientError, ConnectionFailed, Forbidden, NotFound, Unauthorized
from tidings.client.client import Json
from tidings.client.exchange import ClientReply, ClientRequest

TIMEOUT_SECONDS = 5.0
SKEW_SECONDS_WARN = 5.0
SKEW_SECONDS_FAIL = 120.0
"""Receivers refuse signatures whose timestamp is five minutes off."""
ENDPOINTS_MAX = 10_000
REFUSALS_MAX = 1_000
SHARES_MAX = 10
REFUSED_LEAST = 100
"""Fewer refusals than this since startup are not worth reporting."""
OF_FORMS = {
    "origin": "the sending page is on an origin that the form does not list",
    "unknown_field": "there was a field that the form does not have",
    "schema": "the data does not match the schema of the event type",
    "too_large": "the limit `max_form_bytes` was exceeded",
}
"""Reasons for which a form may have refused a submission that it should accept."""


def look_at_server(url: str, key: str) -> Generator[Finding, None, bool]:
    """Everything that can be checked; stops early, and returns False, if the server does not answer."""
    try:
        client = Client(url, key or None, timeout_seconds=TIMEOUT_SECONDS, retries=0)
    except ValueError as wrong:
        yield Finding("fail", "server", f"{wrong}. Write it as --url http://127.0.0.1:8080")
        return False
    # /readyz needs no key, and a call with an unknown key would be refused.
    with client, Client(url, timeout_seconds=TIMEOUT_SECONDS, retries=0) as anybody:
        try:
            reply = anybody.exchange(ClientRequest("GET", "/readyz"))
        except ConnectionFailed as wrong:
            is_refused = isinstance(wrong.__cause__, ConnectionRefusedError)
            advice = " Start the server with `tidings serve`, or pass its URL with --url." if is_refused else ""
            yield Finding("fail", "server", f"{wrong}{advice}")
            return False
        yield _ready(reply, url)
        yield from _time_skew(reply)
        if not key:
            yield Finding(
                "warn", "key", "No key was given, so nothing else was checked. Pass a key with --key or TIDINGS_KEY."
            )
            return True
        try:
            yield from _endpoints(client)
            yield from _links(client)
            yield from _hooks(client)
            yield from _forms(client)
            yield from _shares(client)
        except Unauthorized as wrong:
            yield Finding("fail", "key", f"{wrong} Create a key with `tidings keys create`.")
        except ClientError as wrong:
            yield Finding("fail", "server", str(wrong))
    return True


def _ready(reply: ClientReply, url: str) -> Finding:
    try:
        reply.value()
    except ClientError as wrong:
        return Finding("fail", "server", f"{url} answers, but is not ready: {wrong}")
    return Finding("ok", "server", f"{url} is ready.")


def _time_skew(reply: ClientReply) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return
    # The header has whole seconds, so within half a second is exact.
    skew = abs(time.time() - theirs - 0.5)
    text = f"The clocks of the server and this machine differ by {skew:.0f} s."
    if skew >= SKEW_SECONDS_FAIL:
        yield Finding(
            "fail",
            "skew",
            f"{text} Synchronize both clocks with NTP: receivers refuse signatures whose timestamp is minutes off.",
        )
    elif skew >= SKEW_SECONDS_WARN:
        yield Finding("warn", "skew", f"{text} Synchronize both clocks with NTP.")
    else:
        yield Finding("ok", "skew", "The clocks of the server and this machine agree.")


def _endpoints(client: Client) -> Iterator[Finding]:
    try:
        endpoints = list(islice(client.endpoints(limit=1000), ENDPOINTS_MAX))
    except Forbidden:
        yield Finding("warn", "key", "The key is valid, but may not read endpoints: it lacks the scope endpoints:read.")
        return
    yield Finding("ok", "key", "The key is valid.")
    ill = 0
    for endpoint in endpoints:
        name, failing = f"{endpoint['id']} ({endpoint['url']})", endpoint["health"]["failing_since"]
        if endpoint["state"] == "disabled":
            ill += 1
            advice = f"Once the receiver is fixed, run: tidings endpoints resume {endpoint['id']}"
            yield Finding("warn", "endpoint", f"{name} is disabled: {endpoint['reason']} {advice}")
        elif endpoint["state"] == "enabled" and failing is not None:
            ill += 1
            advice = f"See: tidings deliveries list --endpoint {endpoint['id']}"
            yield Finding("warn", "endpoint", f"{name} has been failing since {failing}. {advice}")
    if not ill:
        yield Finding("ok", "endpoints", f"{counted(len(endpoints), 'endpoint')}, none failing.")


def _links(client: Client) -> Iterator[Finding]:
    try:
        links = list(islice(client.links.list(limit=1000), ENDPOINTS_MAX))
    except (Forbidden, NotFound):
        # The key lacks the scope links:read, or the server is of an older version.
        return
    failing = [(each["name"], since) for each in links if (since := each.get("health", {}).get("failing_since"))]
    for name, since in failing:
        advice = f"See: tidings links runs {name}"
        yield Finding("warn", "link", f"{name} has been failing since {since}. {advice}")
    if links and not failing:
        yield Finding("ok", "links", f"{counted(len(links), 'link')}, none failing.")


def _hooks(client: Client) -> Iterator[Finding]:
    """Hooks that recently refused requests."""
    try:
        hooks = list(islice(client.hooks(limit=1000), ENDPOINTS_MAX))
        refusals = Counter(each["hook_id"] for each in islice(client.refusals(limit=1000), REFUSALS_MAX))
    except (Forbidden, NotFound):
        # The key lacks the scope hooks:read, or the server is of an older version.
        return
    ill = [hook for hook in hooks if refusals[hook["id"]]]
    for hook in ill:
        text = f"{hook['id']} ({hook['path']}) refused {counted(refusals[hook['id']], 'request')}."
        yield Finding("warn", "hook", f"{text} See: tidings refusals list --hook {hook['id']}")
    if hooks and not ill:
        yield Finding("ok", "hooks", f"{counted(len(hooks), 'hook')}; no request was refused recently.")


def _forms(client: Client) -> Iterator[Finding]:
    """Forms that recently refused submissions for a reason that their owner can fix, not because they were spam."""
    try:
        forms = list(islice(client.forms.list(limit=1000), ENDPOINTS_MAX))
        recent = islice(client.refusals(limit=1000), REFUSALS_MAX)
        refusals = Counter((each["form_id"], each["reason"]) for each in recent if each["reason"] in OF_FORMS)
    except (Forbidden, NotFound):
        return
    ill = 0
    for form in forms:
        for (ident, reason), count in sorted(refusals.items(), key=str):
            if ident == form["id"]:
                ill += 1
                text = f"{ident} ({form['path']}) refused {counted(count, 'submission')}: {OF_FORMS[reason]}."
                yield Finding("warn", "form", f"{text} See: tidings refusals list --form {ident}")
    if forms and not ill:
        yield Finding(
            "ok",
            "forms",
            f"{counted(len(forms), 'form')}; no submission that looks genuine was refused recently.",
        )


def _is_held_back(each: Json) -> bool:
    """Whether a share is worth reporting: it is used up now, or a tenant often wanted more. The operator's own work
    often waits for milliseconds, since one page of the console asks for more readers at once than it may have.
    """
    return bool(each["held"] or (each["tenant"] is not None and each["refused"] >= REFUSED_LEAST))


def _shares(client: Client) -> Iterator[Finding]:
    """Tenants that have reached their share of common resources, or wanted more."""
    try:
        shares = client.exchange(ClientRequest("GET", "/v1/shares")).value()["data"]
    except (Forbidden, NotFound):
        # A tenant's key, or a server of an older version.
        return
    over = [(share, each) for share in shares for each in share["held_back"] if _is_held_back(each)]
    for share, each in over[:SHARES_MAX]:
        of, now = share["of"], f"; it now holds {each['held']:,} of {share['total']:,}" if each["held"] else ""
        often = f"has wanted more than its share of {of} {counted(each['refused'], 'time')} since startup"
        said = f"{often if each['refused'] else f'is at its share of {of}'}{now}"
        if each["tenant"] is None:
            yield Finding("warn", "share", f"Your own work, which has no tenant, {said}. This delays no tenant.")
        else:
            yield Finding("warn", "share", f"The tenant {each['tenant']} {said}. This delays only that tenant.")
    if not over:
        yield Finding("ok", "shares", "No tenant has used up its share of the resources that tenants share.")

"""Who may use the server, and who watches it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import islice

from tidings.cli.local.doctor_local import Finding
from tidings.cli.terminal.sentences import counted
from tidings.client import Client, ClientError, Unauthorized
from tidings.client.exchange import ClientRequest

TIMEOUT_SECONDS = 5.0
KNOWN_KEYS = ("tdk_try-it",)
"""The keys in the documentation's examples, which everybody knows."""
KEY_CHARS_MIN = 24
KEYS_MAX = 100
ASKED_MIN = 3
"""The number of reads of the metrics to ignore: this command reads them too."""
EACH_MINUTES_MAX = 5
_ASKED = re.compile(r'^tidings_answers_total\{operation="(?:metrics|get_health)",status="200"\} (\S+)', re.MULTILINE)
_STARTED = re.compile(r"^process_start_time_seconds (\S+)", re.MULTILINE)


def look_at_usage(url: str, key: str) -> Iterator[Finding]:
    """Check for keys that everybody knows, for keys of applications, and whether anyone reads the metrics."""
    try:
        for known in KNOWN_KEYS:
            yield _known(url, known)
        if key:
            yield from _with_key(url, key)
    except ClientError as wrong:
        yield Finding("fail", "keys", str(wrong))


def _known(url: str, known: str) -> Finding:
    with Client(url, known, timeout_seconds=TIMEOUT_SECONDS, retries=0) as client:
        try:
            client.exchange(ClientRequest("GET", "/v1/keys", {"limit": 1})).value()
        except Unauthorized:
            return Finding("ok", "keys", "None of the keys in the documentation's examples is valid here.")
    return Finding(
        "fail",
        "keys",
        f"The operator's key is {known}, an example in the documentation. Choose another: set `operator_key` to `tdk_` "
        "followed by the output of `openssl rand -hex 24`, and restart the server.",
    )


def _with_key(url: str, key: str) -> Iterator[Finding]:
    if len(key) < KEY_CHARS_MIN:
        said = (
            f"The key that you passed has only {len(key)} characters, so it can be guessed. Choose a key with at "
            f"least {KEY_CHARS_MIN} characters."
        )
        yield Finding("fail", "keys", said)
    with Client(url, key, timeout_seconds=TIMEOUT_SECONDS, retries=0) as client:
        others = [each for each in islice(client.keys(limit=KEYS_MAX), KEYS_MAX) if each["name"] != "operator"]
        if others:
            yield Finding("ok", "keys", f"Applications have their own keys ({counted(len(others), 'key')}).")
        else:
            advice = "tidings keys create NAME --scope events:write"
            said = "There is only the operator's key, which may do everything. Give each application its own key"
            yield Finding("fail", "keys", f"{said}: {advice}")
        yield _watched(client.exchange(ClientRequest("GET", "/metrics")).body.decode())


def _watched(metrics: str) -> Finding:
    """Whether the metrics have been read every few minutes since the start."""
    asked = sum(float(count) for count in _ASKED.findall(metrics))
    started = _STARTED.search(metrics)
    minutes = (time.time() - float(started[1])) / 60 if started else 0.0
    if asked > max(ASKED_MIN, minutes / EACH_MINUTES_MAX):
        return Finding("ok", "watched", "Somebody reads the metrics regularly.")
    return Finding(
        "fail",
        "watched",
        f"The metrics have been read {counted(round(asked), 'time')} since the server started "
        f"{counted(round(minutes), 'minute')} ago, so nobody will notice when the server fails. Let Prometheus read "
        "/metrics (docs/howto/monitoring.md); if something else monitors the server, skip this check: --except watched",
    )

"""Figures `hooks-*`: webhooks of GitHub's that come in, are verified, stored as events with full sync, and answered."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.context import Context
from benchmarks.generator import NO_SIGNATURE, Load
from benchmarks.numbers import median
from benchmarks.processes import Others, run_load, running_load, thread_uses
from benchmarks.server import Server, running
from benchmarks.table import Row

SECRET = "It's a Secret to Everybody"
BODY_BYTES = 5_000
RATE = 200
TURNS = 3


def hooks(context: Context) -> list[Row]:
    """64 connections, each sending as soon as the last was answered; then 200 a second alone, and beside a flood."""
    folder = context.new_folder()
    before = context.reference()
    with running(folder) as server:
        server.call("POST", "/v1/hooks", {"path": "github", "scheme": "github", "secrets": [SECRET]})
        others, used = Others(context.postgres.pid), thread_uses(server.pid)
        flat = run_load(_load(context, server, context.seconds))
        seconds = (int(flat["ended_ns"]) - int(flat["started_ns"])) / 1e9
        details: dict[str, Any] = {
            "answer_ms": flat["answer_ms"],
            "other_programs_percent": others.percent(seconds),
            "server_cpu_seconds": {name: use.seconds for name, use in _since(used, server).items()},
        }
        after = context.reference()
        rows = [_row("hooks", flat["accepted"] / seconds, flat, details, (before + after) / 2)]
        turn = context.seconds / TURNS
        alone = [run_load(_load(context, server, turn, rate=RATE)) for _ in range(TURNS)]
        rows.append(_p99("hooks-p99", alone, {}))
        with running_load(_load(context, server, context.seconds + 2, secret="guessed")) as flood:
            beside = [run_load(_load(context, server, turn, rate=RATE)) for _ in range(TURNS)]
        refused = flood.result()["refused"]
        rows.append(_p99("hooks-flood-p99", beside, {"forged_and_refused": refused}))
    context.throw_away(folder)
    return rows


def _load(context: Context, server: Server, seconds: float, *, rate: float = 0, secret: str = SECRET) -> Load:
    run = context.sink.new_run()
    return Load(
        port=server.port,
        path="/in/github",
        run=run,
        seconds=seconds,
        rate=rate,
        request=_request(run),
        hook_secret=secret,
    )


def _request(run: int) -> str:
    """A webhook of 5 KB as GitHub writes it, with places for the number and the time of sending."""
    commit = {
        "id": "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "message": "Fix all the bugs",
        "author": {"name": "Monalisa Octocat", "email": "support@example.com", "date": "2026-11-29T09:08:07Z"},
        "added": ["docs/one.md", "docs/two.md"],
        "distinct": True,
    }
    body = {"ref": "refs/heads/main", "repository": {"full_name": "octocat/hello", "size": 180}, "commits": [commit]}
    while len(json.dumps(body)) < BODY_BYTES:
        body["commits"].append(commit)  # type: ignore[attr-defined]
    text = f'{{"run":{run},"sent":"%016d",' + json.dumps(body)[1:]
    length = len(text % 0)
    return (
        "POST /in/github HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "User-Agent: GitHub-Hookshot/044aadd\r\nX-GitHub-Event: push\r\n"
        "X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-%012d\r\n"
        f"X-Hub-Signature-256: sha256={NO_SIGNATURE.decode()}\r\n"
        f"Content-Length: {length}\r\n\r\n{text}"
    )


def _since(before: dict[str, Any], server: Server) -> dict[str, Any]:
    return {name: use.since(before.get(name)) for name, use in thread_uses(server.pid).items()}


def _row(name: str, measured: float, report: dict[str, Any], details: dict[str, Any], reference: float) -> Row:
    fair = not report["refused"] and not report["unanswered"]
    return Row(name, measured, reference, fair, "" if fair else f"refused: {report['refused']}", details)


def _p99(name: str, reports: list[dict[str, Any]], details: dict[str, Any]) -> Row:
    fair = not any(report["refused"] or report["unanswered"] for report in reports)
    answers = [report["answer_ms"] for report in reports]
    return Row(name, median([each["p99"] for each in answers]), None, fair, "", {"answer_ms": answers, **details})

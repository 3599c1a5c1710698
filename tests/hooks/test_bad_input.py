"""What an impostor, a careless sender or a broken one may send: refused, bounded, and never an event."""

from __future__ import annotations

import hmac
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.examples import examples
from tests.hooks.world import PUBLIC, SECRET, Declared, HookWorld, send
from tests.robust.stalls import UnknownCommits
from tests.web import wire
from tidings.intake.hooks import refusals
from tidings.model.moment import SECOND
from tidings.rules.schemes import HookRequest

BODY = b'{"action":"opened"}'


def head(hook: Declared, body: bytes, *lines: str, length: int | None = None) -> bytes:
    """A genuine request as bytes."""
    signature = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    size = [f"Content-Length: {len(body) if length is None else length}"] if length != -1 else []
    every = [f"POST /in/{hook.path} HTTP/1.1", "Host: x", f"X-Hub-Signature-256: {signature}", *size, *lines, "", ""]
    return "\r\n".join(every).encode()


def nothing_came(hook: Declared) -> None:
    assert hook.events() == []
    assert hook.api.call("GET", "/readyz").status == 200


@pytest.mark.slow
def test_a_body_past_the_limit_is_413_and_never_cut_short(world: HookWorld) -> None:
    hook = world.hook("github")
    long = b"x" * 70_000
    assert wire.send(world.server.url, head(hook, long) + long).status == 413
    chunked = b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
    raw = head(hook, b"x" * 0x4000 * 5, "Transfer-Encoding: chunked", length=-1) + chunked
    assert wire.send(world.server.url, raw).status == 413
    nothing_came(hook)
    assert {row["reason"] for row in hook.refusals(2)} == {"too_large"}
    answer = world.api.call("POST", f"/v1/refusals/{hook.refusals()[0]['id']}:retry")
    assert answer.status == 409 and "too large" in answer.json["detail"]


def test_a_chunked_body_is_verified_as_a_whole(world: HookWorld) -> None:
    hook = world.hook("github")
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, bytes([byte])) for byte in BODY) + b"0\r\n\r\n"
    raw = head(hook, BODY, "Transfer-Encoding: chunked", length=-1)
    assert wire.send(world.server.url, raw + chunks).status == 200
    assert [event["data"] for event in hook.events()] == [{"action": "opened"}]


def test_a_content_length_larger_than_the_body_is_not_an_event(world: HookWorld) -> None:
    hook = world.hook("github")
    with wire.dial(world.server.url) as sock:
        sock.sendall(head(hook, BODY, length=len(BODY) + 10) + BODY)
        sock.shutdown(socket.SHUT_WR)
        assert wire.read(sock).status in (0, 400)
    nothing_came(hook)


def test_a_content_length_smaller_than_the_body_ends_it_there(world: HookWorld) -> None:
    hook = world.hook("github")
    with wire.dial(world.server.url) as sock:
        sock.sendall(head(hook, BODY, length=len(BODY) - 1) + BODY)
        assert wire.read(sock).status == 401
    nothing_came(hook)


def test_two_lengths_are_refused(world: HookWorld) -> None:
    hook = world.hook("github")
    for more in ("Content-Length: 5", "Transfer-Encoding: chunked"):
        answer = wire.send(world.server.url, head(hook, BODY, more) + BODY)
        assert answer.status in (0, 400, 401), more
    nothing_came(hook)


@pytest.mark.sqlite_only
def test_a_body_that_never_ends_is_given_up(world: HookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.parts.bodies, "_seconds", 0.2)
    hook = world.hook("github")
    with wire.dial(world.server.url, 20) as sock:
        sock.sendall(head(hook, BODY) + BODY[:5])
        assert wire.read(sock).status == 408
    nothing_came(hook)


def test_ten_thousand_headers_are_refused(world: HookWorld) -> None:
    hook = world.hook("github")
    lines = [f"X-{number}: {number}" for number in range(10_000)]
    assert wire.send(world.server.url, head(hook, BODY, *lines) + BODY).status in (0, 431, 400)
    nothing_came(hook)


def test_a_header_of_a_megabyte_is_refused(world: HookWorld) -> None:
    hook = world.hook("github")
    assert wire.send(world.server.url, head(hook, BODY, "X-Long: " + "x" * 1_000_000) + BODY).status in (0, 431, 400)
    nothing_came(hook)


def test_as_many_headers_as_the_server_takes_are_kept(world: HookWorld) -> None:
    hook = world.hook("github")
    lines = [f"X-{number}: {'v' * 100}" for number in range(90)]
    assert wire.send(world.server.url, head(hook, BODY, *lines) + BODY).status == 200
    (row,) = hook.receipts()
    assert len(world.api.get(f"/v1/receipts/{row['id']}")["headers"]) == 93


@pytest.mark.parametrize(
    "value",
    [
        b"sha256=",
        b"",
        b"=",
        b"sha256",
        b",",
        b"\xff\xfe",
        "sha256=\u00e4".encode(),
        b"sha256=" + b"0" * 63,
        b"x" * 9_000,
    ],
)
def test_signatures_of_any_form_are_refused_without_a_fault(world: HookWorld, value: bytes) -> None:
    hook = world.hook("github")
    raw = head(hook, BODY)
    at = raw.index(b"sha256=")
    raw = raw[:at] + value + raw[raw.index(b"\r\n", at) :]
    assert wire.send(world.server.url, raw + BODY).status == 401
    nothing_came(hook)


def test_a_head_with_odd_bytes_is_taken_without_a_fault(world: HookWorld) -> None:
    hook = world.hook("github")
    raw = head(hook, BODY, "X-Odd: {odd}").replace(b"{odd}", b"\xff\xfe\xc3\xa4")
    assert wire.send(world.server.url, raw + BODY).status == 200
    assert len(hook.events()) == 1


def test_a_signed_header_beyond_ascii_is_missing_and_nothing_fails(world: HookWorld) -> None:
    check = {
        "kind": "signature",
        "algorithm": "hmac-sha256",
        "signed": "{header:X-Who}{body}",
        "signature": {"from": "header:X-Sig"},
    }
    hook = world.hook({"check": check})
    for who, status in (("Ann", 200), ("J\u00fcrgen", 401)):
        signature = hook.signed(BODY, {"X-Who": who}).headers["x-sig"]
        raw = head(hook, BODY, "X-Who: {who}", f"X-Sig: {signature}").replace(b"{who}", who.encode())
        assert wire.send(world.server.url, raw + BODY).status == status
    assert hook.refused()["reason"] == "missing_header"


def test_yesterdays_true_request_is_refused_or_known(world: HookWorld) -> None:
    signed, timed = world.hook("github"), world.hook("slack")
    requests = [(hook, hook.signed(BODY)) for hook in (signed, timed)]
    for hook, request in requests:
        assert hook.send(request).status == 200
    world.clock.advance(86_400)
    assert [hook.send(request).status for hook, request in requests] == [200, 401]
    assert [len(hook.events()) for hook in (signed, timed)] == [1, 1]


def test_a_clock_that_is_off_is_reported(world: HookWorld) -> None:
    hook = world.hook("slack")
    request = hook.signed(BODY)
    world.clock.set_by(-7_200)
    try:
        assert hook.send(request).status == 401
        assert "clock" in hook.refused()["detail"]
    finally:
        world.clock.set_by(7_200)
    assert hook.send(request).status == 200


def test_an_impostor_who_knows_all_but_the_secret_gets_nothing_in(world: HookWorld) -> None:
    hook = world.hook("stripe")
    true = hook.signed(b'{"id":"evt_1","type":"x"}')
    forged = [
        hook.signed(b'{"id":"evt_2","type":"x"}', secret="guessed"),
        true.but(body=b'{"id":"evt_2","type":"x"}'),
        true.but(headers={**true.headers, "stripe-signature": true.headers["stripe-signature"].replace("v1=", "v0=")}),
        true.but(headers={**true.headers, "stripe-signature": true.headers["stripe-signature"].upper()}),
        true.but(headers={**true.headers, "stripe-signature": "t=1,v1=" + "0" * 64}),
    ]
    assert {hook.send(request).status for request in forged} == {401}
    nothing_came(hook)


def test_a_certificate_url_that_points_inwards_is_never_called(world: HookWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inner:
        inner.settimeout(0.3)
        port = inner.getsockname()[1]
        hook = world.hook("aws-sns", [], settings={"topic_arn": "a"})
        for url in (
            f"http://127.0.0.1:{port}/x.pem",
            f"https://127.0.0.1:{port}/x.pem",
            f"https://sns.us-east-1.amazonaws.com@127.0.0.1:{port}/x.pem",
            f"https://sns.us-east-1.amazonaws.com.evil.example:{port}/x.pem",
            "file:///etc/passwd",
        ):
            body = (
                '{"Type":"Notification","MessageId":"1","TopicArn":"a","Message":"m","Timestamp":"2026-11-29T00:00:00Z",'
                f'"SignatureVersion":"1","Signature":"YQ==","SigningCertURL":"{url}"}}'
            )
            assert hook.send(HookRequest("POST", hook.url, {"content-type": "text/plain"}, body.encode())).status == 401
        assert hook.refused()["reason"] == "untrusted_url"
        with pytest.raises(TimeoutError):
            inner.accept()
    nothing_came(hook)


@pytest.mark.slow
def test_keys_that_cannot_be_fetched_are_503_so_that_the_sender_tries_again(
    world: HookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def fetch(url: str, *more: object) -> bytes | None:
        asked.append(url)
        return None

    monkeypatch.setattr(world.parts.receiver.fetched, "_fetch", fetch)
    hook = world.hook("aws-sns", [], settings={"topic_arn": "a"})
    at = datetime.fromtimestamp(world.clock.now() / SECOND, UTC).isoformat()
    for number in range(40):
        body = (
            f'{{"Type":"Notification","MessageId":"1","TopicArn":"a","Message":"m","Timestamp":"{at}",'
            '"SignatureVersion":"1","Signature":"YQ==",'
            f'"SigningCertURL":"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{number}.pem"}}'
        )
        answer = hook.send(HookRequest("POST", hook.url, {}, body.encode()))
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")
    assert len(asked) <= 30, "an impostor who names another certificate each time has us ask only so often"
    nothing_came(hook)


@pytest.mark.parametrize("line", ["OPTIONS *", "GET in", "POST in/x", "CONNECT x:80", "POST /in", "POST //in/x"])
def test_a_target_that_is_not_a_hooks_path_is_404(world: HookWorld, line: str) -> None:
    raw = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    assert wire.send(world.server.url, raw).status in (204, 400, 401, 404, 405)


def test_an_unknown_path_costs_the_same_however_long_it_is(world: HookWorld) -> None:
    for path in ("x", "y" * 60_000, "a/" * 1_000):
        answer = send(world.server.url, HookRequest("POST", f"{PUBLIC}/in/{path}", {}, BODY))
        assert (answer.status, answer.body) == (404, b"There is no hook here.\n")


@pytest.mark.slow
def test_a_flood_of_forgeries_is_kept_in_part_and_does_not_drive_out_others(world: HookWorld) -> None:
    hook = world.hook("github")
    forged = hook.signed(BODY, secret="guessed")
    before = world.parts.receiver.refusals.left_out
    with ThreadPoolExecutor(16) as pool:
        answers = {answer.status for answer in pool.map(lambda _: hook.send(forged), range(400))}
    assert answers == {401}
    assert world.parts.receiver.refusals.left_out > before
    assert 1 <= len(hook.refusals()) < 400
    assert hook.send(hook.signed(BODY)).status == 200


def test_of_many_refusals_the_newest_of_each_address_stay(world: HookWorld) -> None:
    from tests.hooks.rows import refusal_rows
    from tidings.store import receipts

    hook = world.hook("github")
    flood, few = refusal_rows(hook.id, "198.51.100.7", 50), refusal_rows(hook.id, "203.0.113.9", 2, at=1)

    def job(db: object) -> int:
        for fields in (*few, *flood):
            receipts.put(db, fields)  # type: ignore[arg-type]
        return receipts.trim(db, hook.id, 10, 1_000_000)  # type: ignore[arg-type]

    assert world.parts.writer.wait(job) == 42
    kept = [row["client"] for row in hook.refusals(10)]
    assert (kept.count("203.0.113.9"), kept.count("198.51.100.7")) == (2, 8)
    large = refusal_rows(hook.id, "198.51.100.7", 3, body=bytes(1_000))

    def again(db: object) -> int:
        for fields in large:
            receipts.put(db, fields)  # type: ignore[arg-type]
        return receipts.trim(db, hook.id, 10, 2_500)  # type: ignore[arg-type]

    world.parts.writer.wait(again)
    assert sum(row["bytes"] for row in hook.refusals()) <= 2_500


@pytest.mark.slow
def test_a_tenants_flood_of_refusals_leaves_room_for_others(world: HookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "PER_CLIENT_MAX", 1_000)
    monkeypatch.setattr(refusals, "PER_FLUSH_MAX", 1_000)
    kept = world.parts.receiver.refusals
    monkeypatch.setattr(kept.share, "total", 100_000)
    loud, calm = world.hook("github", tenant="loud", path="loud/x"), world.hook("github", tenant="calm", path="calm/x")
    large = loud.signed(b"x" * 20_000, secret="guessed")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: loud.send(large), range(40)))
    calm.send(calm.signed(secret="guessed"))
    assert len(calm.refusals()) == 1


def test_what_could_not_be_stored_is_503_and_the_next_try_is_one_event(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed(BODY)
    commits = UnknownCommits(world.server)
    commits.lose(1, of_events=True)
    refused = hook.send(request)
    assert (refused.status, "retry-after" in refused.headers) == (503, True)
    assert hook.send(request).status == 200
    assert len(hook.events()) == 1
    impostors = hook.send(hook.signed(BODY, secret="guessed"))
    assert impostors.status == 401, "never one status for both"


@pytest.mark.slow
def test_thousands_of_copies_at_once_are_one_event(world: HookWorld, module_database: str | None) -> None:
    # On PostgreSQL, where each takes twice as long, fewer.
    count = examples(10_000 if module_database is None else 2_000) // 16 * 16
    hook = world.hook("github")
    raw = head(hook, BODY, "Connection: close") + BODY
    parts = urlsplit(world.server.url)
    statuses: list[bytes] = []

    def copies() -> None:
        for _ in range(count // 16):
            with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=60) as sock:
                sock.sendall(raw)
                statuses.append(sock.recv(4_096)[9:12])

    threads = [threading.Thread(target=copies) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == count and set(statuses) == {b"200"}
    assert len(hook.events()) == len(hook.receipts()) == 1

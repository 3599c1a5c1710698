"""`tidings schemes`, `trigger` and `verify`: webhooks of other senders, made and checked on the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.hooks.naming import DeliveryKeys
from tidings.rules.schemes.signing.fresh import like
from tidings.testing import Receiver

Read = Callable[..., Any]
SECRET = "the secret"


def made(run: Run, *args: str) -> bytes:
    """What `tidings trigger` prints: a raw request."""
    result = run("trigger", *args)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def kept(run: Run, folder: Path, *args: str) -> str:
    (folder / "request.http").write_bytes(made(run, *args))
    return str(folder / "request.http")


def test_a_sample_is_genuine_with_the_right_secret(run: Run, tmp_path: Path) -> None:
    file = kept(run, tmp_path, "stripe", "--secret", SECRET, "--type", "invoice.paid")
    assert b'"type":"invoice.paid"' in Path(file).read_bytes()
    right = run("verify", file, "--scheme", "stripe", "--secret", SECRET)
    assert (right.exit_code, right.stdout) == (0, "Genuine: it is from Stripe.\n")
    both = run("verify", file, "--scheme", "stripe", "--secret", "old", "--secret", SECRET)
    assert both.stdout == "Genuine: it is from Stripe, and signed with secret 1 of 2.\n"


def test_a_refusal_has_the_words_of_the_server_and_what_should_have_been_signed(run: Run, tmp_path: Path) -> None:
    file = kept(run, tmp_path, "github", "--secret", SECRET)
    raw = Path(file).read_bytes()
    wrong = run("verify", file, "--scheme", "github", "--secret", "other")
    request = schemes.read_request(raw)
    verifier = schemes.Verifier(schemes.named("github"), "other")
    assert wrong.exit_code == 1
    assert verifier.verify(request, time.time()).detail in wrong.stdout
    assert wrong.stdout.endswith(
        'What should have been signed:\n  {"zen":"Keep it logically awesome.","hook_id":1,'
        '"repository":{"id":1296269,"full_name":"octocat/Hello-World"}}\n'
    )
    assert "other" not in wrong.stdout.replace("nothing other", "")
    Path(file).write_bytes(re.sub(rb"content-length: \d+\r\n", b"", raw).replace(b'"hook_id":1', b'"hook_id": 1'))
    changed = run("verify", file, "--scheme", "github", "--secret", SECRET, "--json")
    said = json.loads(changed.stdout)
    assert (changed.exit_code, said["ok"], said["reason"]) == (1, False, "changed_body")
    assert "without spaces" in said["detail"]


def test_an_old_request_is_checked_as_of_its_arrival(run: Run, tmp_path: Path) -> None:
    file = kept(run, tmp_path, "slack", "--secret", SECRET)
    said = run("verify", file, "--scheme", "slack", "--secret", SECRET, "--at", "2h")
    assert (said.exit_code, "too_new" in said.stdout, "The signature itself is genuine." in said.stdout) == (
        1,
        True,
        True,
    )


def test_a_secret_need_not_be_on_the_command_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    file = kept(run, tmp_path, "github", "--secret-file", str(tmp_path / "secret"))
    for more, env in ((("--secret-file", str(tmp_path / "secret")), {}), ((), {"TIDINGS_HOOK_SECRET": SECRET})):
        assert run("verify", file, "--scheme", "github", *more, env=env).exit_code == 0
    without = run("verify", file, "--scheme", "github")
    assert (without.exit_code, "There is no secret yet" in without.stdout) == (1, True)


def test_a_body_and_its_headers_are_given_one_by_one(run: Run, tmp_path: Path) -> None:
    url = "https://hooks.example.com/in/square?a=b"
    asked = json.loads(run("trigger", "square", "--secret", SECRET, "--public-url", url, "--json").stdout)
    (tmp_path / "body").write_text(asked["body"])
    headers = [part for name, value in asked["headers"].items() for part in ("--header", f"{name}: {value}")]
    args = ("verify", str(tmp_path / "body"), "--scheme", "square", "--secret", SECRET, *headers)
    assert run(*args, "--public-url", url).exit_code == 0
    rewritten = run(*args, "--public-url", url.replace("https", "http"))
    assert (rewritten.exit_code, "wrong_url" in rewritten.stdout, url in rewritten.stdout) == (1, True, True)
    assert "'NAME: VALUE'" in run(*args, "--header", "x").stderr


def test_a_handshake_is_shown_with_its_answer(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ask").write_text("GET /in?challenge=abc HTTP/1.1\nHost: example.com\n\n")
    said = run("verify", str(tmp_path / "ask"), "--scheme", "dropbox", "--secret", SECRET)
    assert said.exit_code == 0
    assert said.stdout == "This is the dropbox handshake of Dropbox. The server would answer 200 with 'abc'.\n"


def test_a_scheme_of_ones_own_is_read_from_a_file(run: Run, tmp_path: Path) -> None:
    own = {"check": {"kind": "token", "from": "header:X-Token"}, "sample": {"body": {"n": 1}}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    file = kept(run, tmp_path, f"@{tmp_path / 'own.json'}", "--secret", SECRET)
    said = run("verify", file, "--scheme", f"@{tmp_path / 'own.json'}", "--secret", SECRET)
    assert said.stdout == "Genuine: it is from this sender.\n"


def test_a_sample_is_sent(run: Run, receiver: Receiver) -> None:
    said = run("trigger", "twilio", "--secret", SECRET, "--to", receiver.url("/in/sms/?a=b"))
    assert (said.exit_code, "204" in said.stdout) == (0, True), said.output
    [came] = receiver.wait_for(1)
    request = schemes.HookRequest("POST", receiver.url("/in/sms/?a=b"), came.headers, came.body)
    assert schemes.Verifier(schemes.named("twilio"), SECRET).verify(request, time.time()).ok
    receiver.answer(401)
    refused = run("trigger", "twilio", "--secret", SECRET, "--to", receiver.url("/in/sms"), "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["status"]) == (1, 401)
    nobody = run("trigger", "github", "--to", "http://127.0.0.1:1/")
    assert (nobody.exit_code, "127.0.0.1:1" in nobody.stderr) == (1, True)


@pytest.mark.slow
def test_each_sample_is_a_delivery_of_its_own(run: Run) -> None:
    for scheme in schemes.names():
        known = schemes.named(scheme)
        if not schemes.example_secret(known) or "aws" in scheme:
            continue
        keys_of = DeliveryKeys("delivery", known)
        first, second = (keys_of.of(schemes.read_request(made(run, scheme))) for _ in range(2))
        assert first is not None and first != second, scheme


def test_the_sample_keeps_a_body_of_ones_own(run: Run, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"id": "evt_1"}')
    for scheme in ("github", "stripe", "hub-sha256"):
        assert made(run, scheme, "--body", str(body)).endswith(b'\r\n\r\n{"id": "evt_1"}')


def test_an_id_of_the_same_kind(run: Run) -> None:
    assert re.fullmatch("evt_[0-9a-f]{20}", like("evt_1NG8Du2eZvKYlo2CUI79", os.urandom))
    assert re.fullmatch("[1-9][0-9]{8}", like("7", os.urandom))
    assert re.fullmatch("[0-9a-f-]{36}", like("72d3162e-cc78-11e3-81ab-4c9367dc0958", os.urandom))


def test_a_mistyped_scheme_and_an_empty_secret_are_explained(run: Run, tmp_path: Path) -> None:
    mistyped = run("trigger", "gihtub")
    assert mistyped.exit_code == 1 and "Did you mean github?" in mistyped.stderr, mistyped.stderr
    assert "`tidings schemes`" in mistyped.stderr
    file = kept(run, tmp_path, "github", "--secret", SECRET)
    empty = run("verify", file, "--scheme", "github", env={"TIDINGS_HOOK_SECRET": ""})
    assert empty.exit_code == 1 and "The secret is empty." in empty.stderr


def test_a_curl_command_says_the_same(run: Run) -> None:
    said = run("trigger", "github", "--curl").stdout
    assert said.startswith("curl -X POST https://example.com/in -H ")
    assert '--data-binary \'{"zen":' in said


def test_senders_with_key_pairs_need_a_private_key(run: Run, tmp_path: Path) -> None:
    without = run("trigger", "discord")
    assert (without.exit_code, "--secret-file" in without.stderr) == (1, True)
    (tmp_path / "key.pem").write_text(keys.pem(keys.ed_key()))
    (tmp_path / "public.pem").write_text(keys.public_pem(keys.ed_key()))
    file = kept(run, tmp_path, "discord", "--secret-file", str(tmp_path / "key.pem"))
    assert run("verify", file, "--scheme", "discord", "--secret-file", str(tmp_path / "public.pem")).exit_code == 0


@pytest.mark.slow
def test_schemes_are_listed_and_shown(run: Run, read: Read) -> None:
    assert [row["name"] for row in read("schemes")] == list(schemes.names())
    shown = run("schemes", "whatsapp").stdout
    assert shown.startswith("meta: Meta: WhatsApp, Messenger, Instagram\n")
    assert "example secret" in shown
    detail = read("schemes", "stripe")
    assert schemes.read({"check": detail["form"]["check"]}).checks == schemes.named("stripe").checks
    sample = detail["sample"]
    request = schemes.HookRequest(sample["method"], sample["url"], sample["headers"], sample["body"].encode())
    assert schemes.Verifier(schemes.named("stripe"), sample["secret"]).verify(request, sample["signed_at"]).ok
    assert read("schemes", "discord")["sample"]["secret"] is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("schemes", "git-hub"), "github"),
        (("verify", "--scheme", "github", "none.http"), "none.http cannot be read"),
        (("verify", "--scheme", "@none.json"), "none.json cannot be read"),
        (("trigger", "github", "--setting", "a"), "NAME=VALUE"),
        (("trigger", "github", "--setting", "a=b"), "has no setting 'a'"),
        (("trigger", "adyen-banking", "--secret", "xyz"), "not hex"),
    ],
)
def test_impossible_requests_get_a_sentence(run: Run, args: tuple[str, ...], words: str) -> None:
    said = run(*args)
    assert said.exit_code == 1
    assert words in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.slow
def test_stdin_is_read_byte_for_byte(tmp_path: Path) -> None:
    raw = schemes.write_request(
        schemes.sign(
            schemes.named("github"),
            SECRET,
            schemes.sample(schemes.named("github")).but(body=b"\xff\x00\r\n"),
            time.time(),
        )
    )
    command = [sys.executable, "-m", "tidings", "verify", "--scheme", "github", "--secret", SECRET]
    ran = subprocess.run(command, input=raw, capture_output=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, b"Genuine: it is from GitHub.\n"), ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["github", "tidings", "stripe", "slack"])
def test_what_trigger_signs_without_a_secret_is_verified_as_verify_says(run: Run, scheme: str) -> None:
    request = run("trigger", scheme).stdout
    said = run("verify", "--scheme", scheme, "-", input=request)
    assert said.exit_code == 1
    advice = said.stderr.strip().rpartition(", use: ")[2]
    assert advice.startswith("--secret ")
    assert run("verify", "--scheme", scheme, *shlex.split(advice), "-", input=request).exit_code == 0
    assert "--secret" not in run("verify", "--scheme", scheme, "--secret", "whsec_b3RoZXI=", input=request).stderr

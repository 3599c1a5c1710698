"""The code that the portal shows for receivers, run in each language: it accepts what is genuine, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tidings.rules.schemes.standard import Signer
from tidings.web.portal.pages.verify import languages

NEW, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"type": "orders.created", "data": {"text": "Grüße"}}'
MAINS = {
    "Python": (
        "verify.py",
        "main.py",
        "import json, verify\n"
        "print(json.dumps([verify.verify(c['headers'], c['body'].encode()) for c in json.load(open('cases.json'))]))",
    ),
    "JavaScript": (
        "verify.mjs",
        "main.mjs",
        "import { readFileSync } from 'node:fs';\nimport { verify } from './verify.mjs';\n"
        "const cases = JSON.parse(readFileSync('cases.json'));\n"
        "console.log(JSON.stringify(cases.map((each) => verify(each.headers, Buffer.from(each.body)))));",
    ),
    "Go": (
        "webhooks/webhooks.go",
        "main.go",
        'package main\nimport ("encoding/json"; "fmt"; "net/http"; "os"; "x/webhooks")\nfunc main() {\n'
        'raw, _ := os.ReadFile("cases.json")\nvar cases []struct{Headers map[string]string; Body string}\n'
        "json.Unmarshal(raw, &cases)\nfound := []bool{}\nfor _, each := range cases {\nheaders := http.Header{}\n"
        "for name, value := range each.Headers { headers.Set(name, value) }\n"
        "found = append(found, webhooks.Verify(headers, []byte(each.Body))) }\n"
        "said, _ := json.Marshal(found)\nfmt.Println(string(said)) }",
    ),
    "PHP": (
        "verify.php",
        "main.php",
        "<?php require 'verify.php'; $cases = json_decode(file_get_contents('cases.json'), true);\n"
        "echo json_encode(array_map(fn($c) => verify($c['headers'], $c['body']), $cases));",
    ),
    "Ruby": (
        "verify.rb",
        "main.rb",
        "require 'json'\nrequire_relative 'verify'\n"
        "puts JSON.generate(JSON.parse(File.read('cases.json')).map { |c| verify(c['headers'], c['body']) })",
    ),
}
COMMANDS = {"JavaScript": ["node"], "Go": ["go", "run"], "PHP": ["php"], "Ruby": ["ruby"]}


def cases() -> tuple[list[dict[str, Any]], list[bool]]:
    now = int(time.time())

    def case(
        secrets: list[str], sent: int = now, body: str = BODY, changed: tuple[str, str] = ("", "")
    ) -> dict[str, Any]:
        signature = Signer(secrets).sign("evt_1", sent, BODY.encode())
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(sent), "webhook-signature": signature}
        name, value = changed
        return {"headers": headers | ({name: value} if name else {}), "body": body}

    genuine = [case([NEW]), case([OLD]), case([NEW, "whsec_" + "A" * 32]), case([NEW], now - 200)]
    forged = [
        case(["whsec_" + "A" * 32]),
        case([NEW], body=BODY.replace("orders", "others")),
        case([NEW], now - 400),
        case([NEW], now + 400),
        case([NEW], changed=("webhook-id", "evt_2")),
        case([NEW], changed=("webhook-timestamp", "soon")),
        case([NEW], changed=("webhook-signature", "")),
        case([NEW], changed=("webhook-signature", "v1,")),
    ]
    return [*genuine, *forged], [True] * len(genuine) + [False] * len(forged)


@pytest.mark.slow
@pytest.mark.parametrize("language", list(MAINS))
def test_the_code_of_each_language_verifies(language: str, tmp_path: Path) -> None:
    command = [sys.executable]
    if language in COMMANDS:
        command = [programs.needed(COMMANDS[language][0]), *COMMANDS[language][1:]]
    file, main, text = MAINS[language]
    given, expected = cases()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(next(each["code"] for each in languages() if each["name"] == language))
    (tmp_path / main).write_text(text)
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.19\n")
    (tmp_path / "cases.json").write_text(json.dumps(given))
    environment = os.environ | {"WEBHOOK_SECRET": f"{NEW} {OLD}"}
    done = subprocess.run([*command, main], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected

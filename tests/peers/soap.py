"""Two SOAP services of the npm package `soap` (soap.mjs), a CRM and books, behind OAuth 1.0a in the SOAP header."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from html import unescape
from pathlib import Path
from typing import Any

from tests.installing import npm_packages
from tests.peers.mischief import Peer, on

HERE = Path(__file__).parent
ENVELOPE = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="urn:contacts">'
    "<s:Header>{{ auth.soap_header }}</s:Header><s:Body>%s</s:Body></s:Envelope>"
)
NO_FAULT = "{{ status == 200 and not body.Envelope.Body.Fault }}"
RECORD = re.compile(rb"<t:records>.*?</t:records>", re.DOTALL)
ID = re.compile(rb"<t:Id>(.*?)</t:Id>")
ASKED_MORE = re.compile(rb"<t:queryLocator>(.*?)</t:queryLocator>")
CUSTOMER = re.compile(rb"<t:externalId>(.*?)</t:externalId>(.*?)</t:record>", re.DOTALL)


class Soap(Peer):
    """One Node process with both services. The CRM counts whole seconds and sends its pages in no order."""

    name = "soap"

    def __init__(self, folder: Path) -> None:
        log = (folder / "soap.log").open("wb")
        command = ["node", str(HERE / "soap.mjs")]
        self._process = subprocess.Popen(
            command, cwd=npm_packages(HERE, "peers-npm").parent, stdout=subprocess.PIPE, stderr=log
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.strip().isdigit(), f"it did not start: {(folder / 'soap.log').read_text()[-2_000:]}"
        self.port = int(said)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def write(self, contacts: dict[str, str | None]) -> None:
        written = [
            {"Id": key, "LastName": name or "", "Email": f"{key}@example.com", "IsDeleted": name is None}
            for key, name in contacts.items()
        ]
        self._control("contacts", written)

    def contacts(self) -> dict[str, str]:
        found = self._control("contacts")
        return {key: each["LastName"] for key, each in found.items() if not each["IsDeleted"]}

    def customers(self) -> dict[str, str]:
        found = self._control("customers")
        return {key.removeprefix("crm-"): each["lastName"] for key, each in found.items() if not each["inactive"]}

    def auth(self) -> dict[str, Any]:
        of_account = {"account": "123", "id": "ck", "secret": "cs", "token": "tk", "token_secret": "ts"}
        return {"oauth1": "hmac-sha256", "place": "soap", **of_account}

    def links(self) -> dict[str, Any]:
        result = "body.Envelope.Body[name].result"
        more = f"<t:queryMore><t:queryLocator>{{{{ {result}.queryLocator }}}}</t:queryLocator></t:queryMore>"
        contacts = {
            "when": {"every": "1h"},
            "call": {
                "via": "crm",
                "post": "/soap",
                "headers": {"SOAPAction": "query"},
                "xml": ENVELOPE % "<t:query><t:since>{{ since }}</t:since></t:query>",
                "ok": NO_FAULT,
                "pages": {
                    "while": f"{{{{ {result}.done == 'false' }}}}",
                    "headers": {"SOAPAction": "queryMore"},
                    "xml": ENVELOPE % more,
                },
            },
            "emit": {
                "type": "crm.contact",
                "each": "Envelope.Body.*.result.records",
                "key": "Id",
                "cursor": {"record": "changed", "overlap": "2s"},
                "ignore": ["changed"],
                "deleted": "{{ record.IsDeleted == 'true' }}",
            },
        }
        record = (
            "<t:externalId>crm-{{ subject }}</t:externalId><t:lastName>{{ data.LastName }}</t:lastName>"
            "<t:email>{{ data.Email }}</t:email><t:inactive>{{ type == 'crm.contact.deleted' }}</t:inactive>"
        )
        upsert = {
            "via": "books",
            "post": "/soap",
            "headers": {"SOAPAction": "upsert"},
            "xml": ENVELOPE % f"<t:upsert><t:record>{record}</t:record></t:upsert>",
            "ok": "{{ status == 200 and body.Envelope.Body.upsertResponse.status.isSuccess == 'true' }}",
            "in_doubt": "retry",
        }
        return {"crm-contacts": contacts, "books-customer": on(upsert, "created", "updated", "deleted")}

    def is_first(self, path: str, body: bytes) -> bool:
        return ASKED_MORE.search(body) is None

    def records(self, body: bytes) -> list[Any] | None:
        return RECORD.findall(body) if b"<t:result>" in body else None

    def with_records(self, body: bytes, records: list[Any]) -> bytes:
        return RECORD.sub(b"", body).replace(b"</t:result>", b"".join(records) + b"</t:result>")

    def version(self, record: Any) -> tuple[str, str]:
        found = ID.search(record)
        assert found is not None, record
        return found[1].decode(), record.decode()

    def written(self, path: str, body: bytes) -> tuple[str, str]:
        found = CUSTOMER.search(body)
        assert found is not None, body
        return found[1].decode(), unescape(found[2].decode())

    def _control(self, name: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control/{name}", data) as answer:
            return json.load(answer)

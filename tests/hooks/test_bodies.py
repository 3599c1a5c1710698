"""Whatever a sender sends becomes data: JSON, lines, forms, files, XML, text, bytes, nothing, packed or not."""

from __future__ import annotations

import base64
import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.hooks.world import HookWorld, until

B64 = base64.b64encode
BOUNDARY = "----b 1"
MULTIPART = (
    b"------b 1\r\n"
    b'Content-Disposition: form-data; name="title"\r\n\r\n'
    b"Gr\xc3\xbc\xc3\x9fe; hello\r\n"
    b"------b 1\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a;\\"b.bin"\r\n'
    b"Content-Type: image/png\r\n\r\n"
    b"\x89PNG\r\n\x00\xff\r\n"
    b"------b 1--\r\n"
)
XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">
  <s:Body><order id="7"><line>a</line><line sku="b">c</line><empty/></order></s:Body>
</s:Envelope>"""

A_UMLAUT = {"a": "\u00e4"}
BODIES: dict[str, tuple[bytes, str, Any]] = {
    "an object": (b'{"a": {"b": [1.50, null]}}', "application/json", {"a": {"b": [1.5, None]}}),
    "an array": (b"[1, 2]", "application/json", {"items": [1, 2]}),
    "a number": (b"42", "application/json", {"value": 42}),
    "JSON that says it is text": (b'{"Type": "Notification"}', "text/plain; charset=UTF-8", {"Type": "Notification"}),
    "JSON of a vendor": (b'{"a": 1}', "application/vnd.api+json", {"a": 1}),
    "JSON with a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}),
    "JSON in UTF-16": ('{"a": "\u00e4"}'.encode("utf-16"), "application/json", {"a": "\u00e4"}),
    "JSON in Latin-1": ('{"a": "\u00e4"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "\u00e4"}),
    "JSON in UTF-8 that says something else": (
        '{"a": "\u00e4"}'.encode(),
        "application/json; charset=us-ascii",
        A_UMLAUT,
    ),
    "JSON in UTF-8 that says UTF-16": ('{"a": "\u00e4"}'.encode(), "application/json; charset=utf-16", A_UMLAUT),
    "JSON in UTF-8 that says Latin-1": ('{"a": "\u00e4"}'.encode(), "application/json; charset=iso-8859-1", A_UMLAUT),
    "JSON in UTF-16 without a mark": ('{"a": "\u00e4"}'.encode("utf-16le"), "text/json; charset=utf-16le", A_UMLAUT),
    "JSON in no character set": (b'{"a": 1}', "application/json; charset=rot13", {"a": 1}),
    "lines": (b'{"a": 1}\n\n{"a": 2}\n', "application/x-ndjson", {"lines": [{"a": 1}, {"a": 2}]}),
    "lines that say they are JSON": (b'{"a": 1}\n{"a": 2}', "application/json", {"lines": [{"a": 1}, {"a": 2}]}),
    "a form": (
        b"a=1&b=x+y&b=%C3%A4&c=",
        "application/x-www-form-urlencoded",
        {"a": "1", "b": ["x y", "\u00e4"], "c": ""},
    ),
    "a form in Latin-1": (b"a=%E4", "application/x-www-form-urlencoded; charset=ISO-8859-1", {"a": "\u00e4"}),
    "a form with files": (
        MULTIPART,
        f'multipart/form-data; boundary="{BOUNDARY}"',
        {
            "title": "Gr\u00fc\u00dfe; hello",
            "files": [
                {
                    "field": "file",
                    "name": 'a;"b.bin',
                    "type": "image/png",
                    "size": 8,
                    "base64": B64(b"\x89PNG\r\n\x00\xff").decode(),
                }
            ],
        },
    ),
    "XML": (
        XML,
        "text/xml; charset=utf-8",
        {"Envelope": {"Body": {"order": {"@id": "7", "line": ["a", {"@sku": "b", "#text": "c"}], "empty": ""}}}},
    ),
    "XML that does not say so": (b"<a>1</a>", "", {"a": "1"}),
    "XML in Latin-1": (
        '<?xml version="1.0" encoding="ISO-8859-1"?><a>\u00e4</a>'.encode("latin-1"),
        "application/xml; charset=ISO-8859-1",
        {"a": "\u00e4"},
    ),
    "XML that alone says that it is in Latin-1": (
        '<?xml version="1.0" encoding="ISO-8859-1"?><a>\u00e4</a>'.encode("latin-1"),
        "application/xml",
        A_UMLAUT,
    ),
    "text in ISO-2022-JP": ("\u3053".encode("iso-2022-jp"), "text/plain; charset=iso-2022-jp", {"text": "\u3053"}),
    "text": ("h\u00e4llo".encode(), "text/plain", {"text": "h\u00e4llo"}),
    "text in another character set": (
        "h\u00e4llo".encode("cp1252"),
        "text/plain; charset=windows-1252",
        {"text": "h\u00e4llo"},
    ),
    "bytes": (b"\x00\xff", "image/png", {"base64": B64(b"\x00\xff").decode(), "type": "image/png"}),
    "nothing": (b"", "application/json", {}),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.few(12)
def test_bodies_become_data(world: HookWorld, name: str) -> None:
    body, kind, data = BODIES[name]
    hook = world.hook("github")
    assert hook.send(hook.signed(body, {"Content-Type": kind})).status == 200
    (event,) = hook.events()
    assert event["data"] == data
    (row,) = hook.receipts()
    assert world.api.call("GET", f"/v1/receipts/{row['id']}/body").body == body


NUMBERS = b"[12345678901234567.89, 9007199254740993, 1.50, 1E2, -0, 0.1000]"


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"n": %s}', b'{"n": %s}'),
        (b"%s", b'{"items":%s}'),
        (b"\n%s\r\n1.0\n", b'{"lines":[%s,1.0]}'),
    ],
)
def test_numbers_of_a_body_keep_every_digit(world: HookWorld, body: bytes, data: bytes) -> None:
    """An array, and JSON lines, were written out again: 12345678901234567.89 became 1.2345678901234568e16."""
    hook = world.hook("github")
    kind = "application/x-ndjson" if b"lines" in data else "application/json"
    assert hook.send(hook.signed(body % NUMBERS, {"Content-Type": kind})).status == 200
    (event,) = hook.events()
    shown = world.api.call("GET", f"/v1/events/{event['id']}").body
    assert b'"data":' + data % NUMBERS in shown


def test_a_body_with_an_integer_beyond_64_bits_is_kept_as_text(world: HookWorld) -> None:
    hook = world.hook("github")
    body = b'{"n": 123456789012345678901234}'
    assert hook.send(hook.signed(body, {"Content-Type": "application/json"})).status == 200
    (event,) = hook.events()
    assert event["data"]["text"] == body.decode() and "does not fit into 64 bits" in event["data"]["unread"]


UNREAD: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"a": ', "application/json"),
    "JSON that two parsers read differently": (b'{"a": 1, "a": 2}', "application/json"),
    "JSON with a number beyond any": (b'{"a": 1e999}', "application/json"),
    "JSON that is nested too deeply": (b"[" * 200 + b"]" * 200, "application/json"),
    "broken lines": (b'{"a": 1}\n{"a": ', "application/x-ndjson"),
    "broken XML": (b"<a><b></a>", "application/xml"),
    "XML with a document type": (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "application/xml"),
    "XML that fetches": (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x"><a/>', "application/xml"),
    "XML that grows": (
        b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><l>&c;</l>',
        "application/xml",
    ),
    "XML that is nested too deeply": (b"<a>" * 100 + b"</a>" * 100, "application/xml"),
    "too many fields": (b"a=1&" * 3_000, "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_an_unreadable_body_is_kept_as_text_with_the_reason(world: HookWorld, name: str) -> None:
    """A genuine request is never lost for its form."""
    body, kind = UNREAD[name]
    hook = world.hook("github")
    assert hook.send(hook.signed(body, {"Content-Type": kind})).status == 200
    (event,) = hook.events()
    assert event["data"]["text"] == body.decode()
    assert event["data"]["unread"].endswith(".")


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZip", lambda raw: gzip.compress(raw[:3]) + gzip.compress(raw[3:])),
        ("deflate", zlib.compress),
        ("deflate", lambda raw: zlib.compress(raw)[2:-4]),
    ],
)
def test_a_packed_body_is_verified_packed_or_unpacked(world: HookWorld, encoding: str, pack: Any) -> None:
    hook = world.hook("github")
    packed = pack(b'{"a": 1}')
    header = {"Content-Encoding": encoding}
    assert hook.send(hook.signed(packed, header)).status == 200
    assert hook.send(hook.signed(b'{"a": 1}', header | {"X-GitHub-Delivery": "other"}).but(body=packed)).status == 200
    assert [event["data"] for event in hook.events()] == [{"a": 1}, {"a": 1}]
    (row, _) = hook.receipts()
    assert world.api.call("GET", f"/v1/receipts/{row['id']}/body").body == packed


def test_a_body_that_only_claims_to_be_compressed_is_taken_unchanged(world: HookWorld) -> None:
    hook = world.hook("github")
    assert hook.send(hook.signed(b'{"a": 1}', {"Content-Encoding": "gzip"})).status == 200
    assert hook.send(hook.signed(gzip.compress(b'{"a": 2}')[:-4], {"Content-Encoding": "gzip"})).status == 200
    first, second = hook.events()
    assert first["data"] == {"a": 1} and set(second["data"]) == {"base64", "type"}


def test_a_small_body_that_unpacks_to_a_large_one_waits_for_its_tenants_turn(world: HookWorld) -> None:
    hook = world.hook()
    work = world.parts.work
    forged = hook.signed(b"x", {"Content-Encoding": "gzip"}, secret="x" * 40)
    large = forged.but(body=gzip.compress(b" " * 60_000))
    small = forged.but(body=gzip.compress(b"{}" * 1_000))
    with ThreadPoolExecutor(1) as pool:
        work.share.hold("busy", work.share.total)
        waits = pool.submit(hook.send, large)
        until(lambda: work.waiting == 1 or None, "a forged body that waits")
        assert hook.send(small).status == 401 and not waits.done()
        work.share.give_back("busy", work.share.total)
        # Whoever comes next lets the others on.
        assert hook.send(large).status == 401 and waits.result().status == 401


@pytest.mark.slow
def test_a_body_that_unpacks_to_more_than_the_limit_is_413(world: HookWorld) -> None:
    hook = world.hook("github")
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 65_536
    assert hook.send(hook.signed(bomb, {"Content-Encoding": "gzip"})).status == 413
    assert hook.events() == []
    (row,) = hook.refusals()
    assert row["reason"] == "too_large"


@pytest.mark.slow
def test_a_hook_can_have_a_smaller_limit_of_its_own(world: HookWorld) -> None:
    hook = world.hook("github", max_bytes=100)
    packed = {"Content-Encoding": "gzip"}
    assert hook.send(hook.signed(b"x" * 100)).status == 200
    assert hook.send(hook.signed(gzip.compress(b"y" * 100), packed)).status == 200
    for body, headers in ((b"x" * 101, {}), (gzip.compress(b"x" * 101), packed)):
        answer = hook.send(hook.signed(body, headers))
        assert answer.status == 413 and b"100 bytes" in answer.body
    assert [row["reason"] for row in hook.refusals(2)] == ["too_large", "too_large"]
    hook.edit(max_bytes=None)
    assert hook.view["max_bytes"] is None
    assert hook.send(hook.signed(b"x" * 101)).status == 200

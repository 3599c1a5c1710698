"""Bad input, as raw bytes on a socket: a problem answer that names the place, never a 500, nothing half stored."""

from __future__ import annotations

import threading

import pytest

from tests.web.wire import KEY_LINE, Said, dial, get, post, read, send
from tidings import listening
from tidings.testing import Api, TestServer
from tidings.web.wire.bodies import reading

HOST = b"Host: tidings\r\n"
JSON = b"Content-Type: application/json\r\n"


def event(data: bytes = b'{"n":1}', more: bytes = b"") -> bytes:
    return b'{"type":"bad.input"' + more + b',"data":' + data + b"}"


def problem(said: Said, status: int, code: str | None = None) -> Said:
    """The answer is this problem, whole and by the book."""
    assert said.status == status, (said.status, said.body)
    assert said.headers["content-type"] == "application/problem+json"
    found = said.json
    assert found["status"] == status and found["detail"] and found["title"]
    assert found["type"] == "urn:tidings:problem:" + found["code"]
    assert found["request_id"] == said.headers["request-id"]
    assert "Traceback" not in said.body.decode()
    if code is not None:
        codes = [place["code"] for place in found["errors"]]
        assert code == found["code"] or code in codes, found
    return said


@pytest.fixture(autouse=True)
def _nothing_was_stored(server: TestServer) -> object:
    """No case leaves an event behind, and the server continues."""
    before = server.api.get("/v1/events", limit=1)["data"]
    yield
    assert server.api.get("/v1/events", limit=1)["data"] == before
    assert server.api.call("GET", "/readyz").status == 200


NOT_JSON = {
    "wrong JSON": (b'{"type":"a","data":{]}', "syntax", "/data"),
    "cut short": (b'{"type":"a","data":{"x":', "syntax", "/data/x"),
    "two values": (event() + event(), "syntax", ""),
    "a word": (b"hello", "syntax", ""),
    "not UTF-8": (event(b'{"x":"\xff"}'), "not_utf8", "/data/x"),
    "byte order mark": (b"\xef\xbb\xbf" + event(), "byte_order_mark", ""),
    "duplicate key": (b'{"type":"a","type":"b","data":{}}', "duplicate_key", "/type"),
    "duplicate key inside": (event(b'{"x":1,"x":2}'), "duplicate_key", "/data/x"),
    "NaN": (event(b'{"x":NaN}'), "not_a_number", "/data/x"),
    "NUL escape": (event(b'{"x":"a\\u0000b"}'), "nul_character", "/data/x"),
    "NUL byte": (event(b'{"x":"a\x00b"}'), "syntax", "/data/x"),
    "lone surrogate": (event(b'{"x":"\\ud800"}'), "lone_surrogate", "/data/x"),
    "lone low surrogate": (event(b'{"x":"\\udc00 "}'), "lone_surrogate", "/data/x"),
    "too deep": (event(b'{"x":' + b"[" * 100 + b"]" * 100 + b"}"), "too_deep", None),
    "very deep": (event(b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), "too_deep", None),
    "huge integer": (event(b'{"x":' + b"9" * 30 + b"}"), "number_out_of_range", "/data/x"),
    "huge digits": (event(b'{"x":' + b"9" * 10_000 + b"}"), "number_out_of_range", "/data/x"),
    "huge exponent": (event(b'{"x":1e999999}'), "number_out_of_range", "/data/x"),
    "control character": (event(b'{"x":"a\nb"}'), "syntax", "/data/x"),
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_a_body_that_is_not_json_is_400_with_the_location(server: TestServer, name: str) -> None:
    body, code, pointer = NOT_JSON[name]
    said = problem(send(server.url, post(body)), 400, code)
    if pointer is not None:
        assert said.places == [pointer]


WRONG_VALUES = {
    "a list": (b"[]", [""]),
    "null": (b"null", [""]),
    "no fields": (b"{}", ["/data", "/type"]),
    "unknown field": (event(more=b',"urgent":true'), ["/urgent"]),
    "odd field name": (event(more=b',"a/b~c":1'), ["/a~1b~0c"]),
    "several": (b'{"type":7,"data":{},"subject":[],"x":1}', ["/subject", "/type", "/x"]),
    "type": (b'{"type":"no spaces","data":{}}', ["/type"]),
    "type of ours": (b'{"type":"endpoint.disabled","data":{}}', ["/type"]),
    "long type": (b'{"type":"' + b"a" * 200 + b'","data":{}}', ["/type"]),
    "data is a list": (event(b"[1]"), ["/data"]),
    "data is null": (event(b"null"), ["/data"]),
    "id": (event(more=b',"id":"a b"'), ["/id"]),
    "long id": (event(more=b',"id":"' + b"x" * 65 + b'"'), ["/id"]),
    "empty id": (event(more=b',"id":""'), ["/id"]),
    "reserved id": (event(more=b',"id":"stream"'), ["/id"]),
    "reserved id of a ticket": (event(more=b',"id":"stream:ticket"'), ["/id"]),
    "time": (event(more=b',"time":"yesterday"'), ["/time"]),
    "time without a zone": (event(more=b',"time":"2026-01-01T00:00:00"'), ["/time"]),
    "time that is none": (event(more=b',"time":"2026-02-30T00:00:00Z"'), ["/time"]),
    "time as a number": (event(more=b',"time":1700000000'), ["/time"]),
    "far future": (event(more=b',"time":"9999-12-31T23:59:59Z"'), ["/time"]),
    "subject with a line break": (event(more=b',"subject":"a\\r\\nb"'), ["/subject"]),
    "long subject": (event(more=b',"subject":"' + b"x" * 257 + b'"'), ["/subject"]),
    "every tenant": (event(more=b',"tenant":"*"'), ["/tenant"]),
    "tenant": (event(more=b',"tenant":"a/b"'), ["/tenant"]),
}


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_wrong_values_are_422_with_every_location(server: TestServer, name: str) -> None:
    body, pointers = WRONG_VALUES[name]
    assert sorted(problem(send(server.url, post(body)), 422, "invalid").places) == pointers


@pytest.mark.slow
def test_a_batch_is_stored_whole_or_not_at_all(server: TestServer) -> None:
    body = b'{"events":[' + event() + b',{"type":"no spaces","data":{}},' + event(b"[]") + b"]}"
    said = problem(send(server.url, post(body, "/v1/events:batch")), 422)
    assert said.places == ["/events/1/type", "/events/2/data"]
    for wrong in (b'{"events":[]}', b'{"events":[' + b",".join([event()] * 1_001) + b"]}"):
        assert problem(send(server.url, post(wrong, "/v1/events:batch")), 422).places == ["/events"]
    twice = b'{"events":[' + b",".join([event(more=b',"id":"same"')] * 2) + b"]}"
    assert problem(send(server.url, post(twice, "/v1/events:batch")), 409).places == ["/events/1/id"]


def test_other_media_are_415(server: TestServer) -> None:
    for media in (b"text/plain", b"application/x-www-form-urlencoded", b"application/json; charset=latin-1", b"x"):
        problem(send(server.url, post(event(), media=media)), 415)
    problem(send(server.url, post(b"", media=b"text/plain")), 415)


def test_an_empty_body_is_400(server: TestServer) -> None:
    problem(send(server.url, post(b"")), 400)


def test_a_body_where_none_belongs_is_400(server: TestServer) -> None:
    problem(send(server.url, get("/v1/events", b"Content-Length: 2\r\n").rstrip() + b"\r\n\r\n{}"), 400)


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_too_large_is_413_before_it_is_read(server: TestServer) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Content-Length: 1000000000\r\n\r\n"
    said = problem(send(server.url, head), 413, "too_large")
    assert said.closed


@pytest.mark.slow
def test_too_large_in_chunks_is_cut_off_while_reading(server: TestServer) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    with dial(server.url) as sock:
        sock.sendall(head)
        sent = 0
        try:
            while sent < 2_000:
                sock.sendall(chunk)
                sent += 1
        except OSError:
            pass
        assert sent < 2_000, "all of it was read"


def test_the_last_chunk_may_be_the_one_too_many(server: TestServer) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    said = problem(send(server.url, head + b"10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"), 413)
    assert said.closed


def test_a_batch_may_be_larger_than_an_event_up_to_its_own_limit(server: TestServer) -> None:
    problem(send(server.url, post(b" " * 100_000)), 413)
    problem(send(server.url, post(b" " * 100_000, "/v1/events:batch")), 400)
    problem(send(server.url, post(b" " * 300_000, "/v1/events:batch")), 413)


def test_chunked_json_is_read(server: TestServer, api: Api) -> None:
    head = b"POST /v1/tenants HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    said = send(server.url, head + b'8\r\n{"id":"c\r\n8\r\nhunked"}\r\n0\r\n\r\n')
    assert said.status == 201, said
    assert api.get("/v1/tenants/chunked")["id"] == "chunked"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5\r\nab", b"-5\r\nabc\r\n0\r\n\r\n"])
def test_broken_chunks_store_nothing(server: TestServer, rest: bytes) -> None:
    """Even where what came is JSON by itself: it was not all."""
    whole = b'{"id":"broken"}'
    head = b"POST /v1/tenants HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    with dial(server.url) as sock:
        sock.sendall(head + b"%x\r\n" % len(whole) + whole + b"\r\n" + rest)
        sock.shutdown(1)
        said = read(sock)
    assert said.status in (0, 400), said
    assert server.api.call("GET", "/v1/tenants/broken").status == 404


def test_a_body_that_breaks_off_stores_nothing(server: TestServer) -> None:
    with dial(server.url) as sock:
        sock.sendall(post(event() + b"      ")[:-5])
    assert server.api.call("GET", "/v1/events", type="bad.input").json["data"] == []


# --- headers, framing, paths ------------------------------------------------------------------------------------------

REFUSED_FRAMING = {
    "line break in a header": b"X: a\rb\r\n",
    "NUL in a header": b"X: a\x00b\r\n",
    "header without a colon": b"nonsense\r\n",
    "bad length": b"Content-Length: abc\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n",
    "endless length": b"Content-Length: 99999999999999999999\r\n",
    "huge header": b"X: " + b"a" * 200_000 + b"\r\n",
    "many headers": b"".join(b"X%d: a\r\n" % n for n in range(500)),
    "folded header": b"X: a\r\n b\r\n",
}


@pytest.mark.parametrize("name", REFUSED_FRAMING)
def test_broken_framing_is_refused_and_the_connection_closed(server: TestServer, name: str) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON
    said = send(server.url, head + REFUSED_FRAMING[name] + b"\r\n" + event())
    assert said.status in (400, 431) and said.closed, said


def test_both_framings_close_the_connection_so_that_nothing_is_smuggled(server: TestServer) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON
    hidden = b"0\r\n\r\nDELETE /v1/tenants/x HTTP/1.1\r\nHost: x\r\n\r\n"
    said = send(server.url, head + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(hidden) + hidden)
    assert said.status == 400 and said.closed


def test_line_breaks_cannot_get_into_answers(server: TestServer) -> None:
    said = problem(send(server.url, get("/v1/events/a%0d%0aSet-Cookie:%20x=1")), 400)
    assert "set-cookie" not in said.headers
    said = problem(send(server.url, get("/v1/events?cursor=a%0d%0aX:1")), 422)
    assert said.places == ["cursor"]


def test_repeated_headers_are_refused(server: TestServer) -> None:
    problem(send(server.url, post(event(), more=b"Authorization: Bearer tdk_other\r\n")), 400, "repeated")
    problem(send(server.url, post(event(), more=b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n")), 400, "repeated")
    for host in (b"Host: other\r\n", HOST, b"hOST: tidings\r\n"):
        problem(send(server.url, post(event(), more=host)), 400, "repeated")


def test_http_1_1_without_a_host_is_refused(server: TestServer) -> None:
    for path in (b"/healthz", b"/v1/events", b"/v1/nothing/such"):
        said = send(server.url, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert said.status == (404 if b"such" in path else 400), path
    problem(send(server.url, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"), 400, "missing")
    assert send(server.url, b"GET /healthz HTTP/1.0\r\n\r\n").status == 200, "HTTP/1.0 knew none"
    assert send(server.url, b"GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n").status == 200


PATHS = {
    "/nothing": 404,
    "/v1/events/": 404,
    "//v1/events": 404,
    "/v1//events": 404,
    "/v1/../v1/events": 404,
    "/v1/events/%00": 400,
    "/v1/events/%ff": 400,
    "/v1/events/%zz": 404,
    "/v1/events/evt_no_such": 404,
    "/v1/endpoints/ep_no_such": 404,
    "/v1/deliveries/dlv_no_such": 404,
    "/v1/keys/'%20OR%201=1": 404,
    "/v1/event-types/%252e": 404,
    "/v1/tenants/a%2Fb": 404,
    "/v1/events/" + "x" * 3_000: 404,
}


@pytest.mark.parametrize("path", PATHS)
def test_paths(server: TestServer, path: str) -> None:
    problem(send(server.url, get(path)), PATHS[path])


QUERIES = {
    "color=red": ["color"],
    "limit=0": ["limit"],
    "limit=1001": ["limit"],
    "limit=ten": ["limit"],
    "limit=1&limit=2": ["limit"],
    "cursor=abc": ["cursor"],
    "cursor=%F0%9F%98%80": ["cursor"],
    "after=abc": ["after"],
    "after=MS45OTk5OTk": ["after"],
    "wait=5": ["wait"],
    "after=end&wait=61": ["wait"],
    "after=end&sort=created": ["sort"],
    "sort=price": ["sort"],
    "time__gte=now": ["time__gte"],
    "type=a&type__in=b": ["type"],
    "limit=x&color=red": ["limit", "color"],
}


@pytest.mark.parametrize("text", QUERIES)
def test_wrong_parameters_are_422_by_name(server: TestServer, text: str) -> None:
    assert problem(send(server.url, get(f"/v1/events?{text}")), 422).places == QUERIES[text]


def test_a_query_that_cannot_be_read_is_400(server: TestServer) -> None:
    for text in ("type=%00", "type=%ff"):
        problem(send(server.url, get(f"/v1/events?{text}")), 400)


def test_a_cursor_of_another_query_is_422(server: TestServer, api: Api) -> None:
    api.post("/v1/tenants", {"id": "one"})
    api.post("/v1/tenants", {"id": "two"})
    cursor = api.get("/v1/tenants", limit=1)["next_cursor"]
    assert cursor
    assert problem(send(server.url, get(f"/v1/events?cursor={cursor}")), 422).places == ["cursor"]


def test_methods(server: TestServer) -> None:
    said = problem(send(server.url, b"DELETE /v1/events HTTP/1.1\r\n" + HOST + b"\r\n"), 405)
    assert said.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    problem(send(server.url, b"BREW /v1/events HTTP/1.1\r\n" + HOST + b"\r\n"), 405)
    assert (
        send(server.url, b"OPTIONS /v1/events HTTP/1.1\r\n" + HOST + b"\r\n").headers["allow"] == said.headers["allow"]
    )
    assert send(server.url, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n").status == 204


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_half_sent_requests_are_closed_in_time(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within ten seconds or so; here, of one."""
    assert listening.HEADER_READ_SECONDS == reading.BODY_SECONDS == 9
    monkeypatch.setattr(listening, "HEADER_READ_SECONDS", 1)
    with TestServer() as quick:
        assert quick.server is not None
        monkeypatch.setattr(quick.server.parts.bodies, "_seconds", 0.5)
        close_half_sent(quick)


def close_half_sent(server: TestServer) -> None:
    half = {
        "head": b"POST /v1/events HTTP/1.1\r\nHost: tid",
        "body": post(event())[:-3],
        "chunks": b"POST /v1/events HTTP/1.1\r\n" + HOST + KEY_LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n",
    }
    said: dict[str, Said] = {}

    def run(name: str) -> None:
        said[name] = send(server.url, half[name], seconds=5.0)

    threads = [threading.Thread(target=run, args=(name,)) for name in half]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: answer.closed for name, answer in said.items()} == dict.fromkeys(half, True)
    for name in ("body", "chunks"):
        problem(said[name], 408)


@pytest.mark.parametrize("path", ["/v1%2ftenants", "/v1%2Ftenants", "/%76%31/tenants", "/v1/%74enants", "/v1/tenants"])
def test_a_path_may_be_spelled_in_any_encoding_and_grants_the_same(server: TestServer, api: Api, path: str) -> None:
    """Permission belongs to the operation, so no spelling of its path gains anything."""
    may_not = api.with_key(api.post("/v1/keys", {"name": "reads", "scopes": ["events:read"]})["key"])
    assert api.call("GET", path).status == 200
    assert may_not.call("GET", path).status == 403
    assert api.with_key(None).call("GET", path).status == 401
    post = may_not.call("POST", path, {"id": "sneaked-in", "name": "x"})
    assert post.status == 403 and api.call("GET", "/v1/tenants/sneaked-in").status == 404


@pytest.mark.parametrize(
    "path", ["/v1%252ftenants", "/v1/tenants%252f", "/v1/tenants%5c", "/v1/tenants%20", "/V1/tenants"]
)
def test_another_encoding_of_the_encoding_is_another_path(api: Api, path: str) -> None:
    assert api.call("GET", path).status == 404

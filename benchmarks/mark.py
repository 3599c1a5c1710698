"""The event that the benchmark publishes, and the mark inside it that the sink reads back.

The mark is text of a fixed width, so that neither side needs a JSON parser: run (4 digits), number (10),
time of sending in nanoseconds of the host's monotonic clock (20), with one space between them.
"""

from __future__ import annotations

MARK = b'"mark":"'
RUN = slice(8, 12)
NUMBER = slice(13, 23)
SENT_NS = slice(24, 44)
MARK_BYTES = 44

_EVENT = (
    b'{"type":"TYPE","data":{"mark":"%04d %%010d %%020d","order":"ord_7Hq2mZ0c","status":"paid",'
    b'"customer":{"id":"cus_91kd73","name":"Zo\xc3\xab van der Berg","email":"zoe@example.org","country":"NL"},'
    b'"lines":[{"sku":"BK-0417","title":"Field notes, plain","count":2,"price":1295},'
    b'{"sku":"PN-1120","title":"Fountain pen, medium nib","count":1,"price":4900}],'
    b'"total":7490,"currency":"EUR","paid_at":"2026-11-21T01:02:03.456Z","gift":false,"coupon":null,'
    b'"note":"Leave it with the neighbours at number 12, please."}}'
)


def event_template(event_type: str, run: int) -> bytes:
    """A JSON event of about 500 bytes with two places left open: `% (number, sent_ns)`."""
    return _EVENT.replace(b"TYPE", event_type.encode()) % run


def batch_template(event_type: str, run: int, size: int) -> bytes:
    """The body of one `POST /v1/events:batch` of `size` events, with `2 * size` places left open."""
    return b'{"events":[' + b",".join([event_template(event_type, run)] * size) + b"]}"

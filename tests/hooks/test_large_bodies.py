"""Bodies of many megabytes, where the operator permits them: they are read next to what everybody else does."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

import pytest

from tests.hooks.world import HookWorld
from tidings.intake.beside import Beside
from tidings.intake.hooks.receive import Arrival, HookAnswer
from tidings.model.hook import Hook
from tidings.rules.hooks.data import data_of
from tidings.rules.reading.size import VALUES_MAX, has_too_many_values
from tidings.rules.schemes import HookRequest

SIZE = 10_000_000
STEP_SECONDS_MAX = 0.06
"""Of processor time. A tenth of a second was usual, and a third the worst, when they were read in the event loop."""
OBJECTS = b'{"a":1,"b":"xyz","c":[1,2,3]},'
ELEMENTS = b"<a b='c'>text</a>"
FILE = b'--B\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "many objects": ("application/json", lambda: b'{"l":[' + OBJECTS * (SIZE // len(OBJECTS)) + b"0]}"),
    "many objects, up to a megabyte": ("application/json", lambda: b'{"l":[' + OBJECTS * 33_000 + b"0]}"),
    "one text": ("application/json", lambda: b'{"t":"' + b"x" * SIZE + b'"}'),
    "many elements": ("application/xml", lambda: b"<r>" + ELEMENTS * 49_000 + b"<!--" + b"x" * SIZE + b"--></r>"),
    "a file": ("multipart/form-data; boundary=B", lambda: FILE + b"x" * SIZE + b"\r\n--B--\r\n"),
    "an encoded form": ("application/x-www-form-urlencoded", lambda: b"a=" + b"%41" * (SIZE // 10)),
    "bytes": ("application/octet-stream", lambda: b"\xff\0" * (SIZE // 2)),
}


class Steps:
    """Measures how long the event loop works without a break, in processor time: others' load does not count."""

    def __init__(self, world: HookWorld, patch: pytest.MonkeyPatch) -> None:
        self.longest = self._last = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        receiver = world.parts.receiver
        take = receiver.take

        async def watched(hook: Hook, arrival: Arrival) -> HookAnswer:
            if self._loop is None:
                self._loop, self._last = asyncio.get_running_loop(), time.thread_time()
                self._tick()
            return await take(hook, arrival)

        patch.setattr(receiver, "take", watched)
        patch.setattr(receiver, "_max_bytes", 2 * SIZE)

    def _tick(self) -> None:
        assert self._loop is not None
        now = time.thread_time()
        self.longest, self._last = max(self.longest, now - self._last), now
        self._loop.call_later(0.0005, self._tick)


@pytest.mark.slow
@pytest.mark.parametrize("what", BODIES)
@pytest.mark.few(2)
def test_a_large_body_holds_up_nobody(world: HookWorld, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    kind, body = BODIES[what]
    hook = world.hook("github")
    steps = Steps(world, monkeypatch)
    hook.send(hook.signed())
    steps.longest = 0.0
    assert hook.send(hook.signed(body(), {"Content-Type": kind})).status == 200
    assert steps.longest < STEP_SECONDS_MAX
    assert len(hook.receipts()) == 2


@pytest.mark.slow
def test_a_body_with_too_many_values_is_kept_as_text_with_the_reason(
    world: HookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = world.hook("github")
    Steps(world, monkeypatch)
    body = b"[" + b"{}," * VALUES_MAX + b"{}]"
    assert hook.send(hook.signed(body)).status == 200
    data = hook.events()[0]["data"]
    assert (data["text"].encode(), data["unread"]) == (body, "The body has more than 500,000 names and values.")


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_signature_inside_such_a_body_is_refused_with_the_reason(
    world: HookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = world.hook("aws-sns", settings={"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}, secrets=[])
    Steps(world, monkeypatch)
    request = HookRequest("POST", hook.url, {"Content-Type": "text/plain"}, b"[" + b"{}," * VALUES_MAX + b"{}]")
    assert hook.send(request).status == 401
    assert "more than 500,000" in hook.refused()["detail"]


@pytest.mark.parametrize(
    ("text", "too_many"),
    [
        (b"[" + b"1," * (VALUES_MAX - 2) + b"1]", False),
        (b"[" + b"1," * VALUES_MAX + b"1]", True),
        (b'{"csv":"' + b"a," * VALUES_MAX + b'"}', False),
        (b'{"json":"' + rb"{\"a\":[1,2]}," * VALUES_MAX + b'"}', False),
        (b"[" + b'"a,b",' * (VALUES_MAX // 2) + b"1]", False),
        (b"[" + b'"a",' * VALUES_MAX + b"1]", True),
        (b"[" + b'{"a":"b"},' * (VALUES_MAX // 2) + b"1]", True),
        (b'["' + b"a," * VALUES_MAX, False),
    ],
    ids=["numbers", "more numbers", "CSV", "JSON in a text", "texts", "more texts", "objects", "a text without an end"],
)
@pytest.mark.few(3)
def test_names_and_values_are_counted_outside_of_texts(text: bytes, too_many: bool) -> None:
    assert has_too_many_values(text) is too_many


def test_a_body_is_parsed_once_for_its_data_and_its_type() -> None:
    request = HookRequest("POST", "", {"content-type": "application/json"}, b'{"type":"a"}')
    value = data_of(request, request.body)[1]
    assert request.json() is value


def test_large_requests_are_worked_on_one_at_a_time_with_rests() -> None:
    spans: list[tuple[float, float]] = []

    def work() -> None:
        began = time.monotonic()
        time.sleep(0.02)
        spans.append((began, time.monotonic()))

    async def all_of_them() -> None:
        beside = Beside()
        await asyncio.gather(*(beside.run(True, work) for _ in range(4)))
        given_up = asyncio.create_task(beside.run(True, work))
        await asyncio.sleep(0)
        given_up.cancel()
        await beside.run(True, work)

    asyncio.run(all_of_them())
    assert all(later[0] - earlier[1] >= 0.015 for earlier, later in itertools.pairwise(spans[:4]))
    assert len(spans) >= 5

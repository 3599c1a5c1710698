"""Idempotency-Key: the same request sent again gets the same response, and changes nothing twice."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tidings.model.errors import Invalid, Place, TidingsError
from tidings.store.base import Db, Run
from tidings.store.callers import answers
from tidings.store.jobs import Heavy, Job, NoSavepoint, Order, Ordered
from tidings.store.log.events import WithEvents
from tidings.web.operation import Answer, Request
from tidings.web.parts import Parts

T = TypeVar("T")

REPLAYED = ("idempotency-replayed", "true")
NONCE_BYTES = 12
KEY_CHARS_MAX = 255
KEY_PATTERN = rf"^[\x21-\x7e]{{1,{KEY_CHARS_MAX}}}$"
_KEY = re.compile(KEY_PATTERN.strip("^$"))


def idempotency_key(request: Request) -> str | None:
    """The request's Idempotency-Key. Raises Invalid unless it is 1 to 255 visible ASCII characters."""
    text = request.headers.get("idempotency-key")
    if text is not None and not _KEY.fullmatch(text):
        raise _wrong("wrong_value", "Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return text


async def once(
    parts: Parts,
    request: Request,
    job: Callable[[Db], Answer | WithEvents],
    *,
    checked: bool = False,
    heavy: bool = False,
    part: str | None = None,
    place: Order = (),
) -> Answer:
    """Run a write job, and keep its response in the same transaction if the caller sent an Idempotency-Key.

    The job returns an Answer, or WithEvents with an Answer and the events to store with it. `checked`: it refuses only
    before its first write; `heavy`: it may take long (store/jobs.py). `part`: the name of this job if the request runs
    several, whose responses are kept separately. `place`: the one thing that the job locks, such as an item.

    Raises Invalid (`idempotency_key_reused`) if the key was used for another request, and what the job raises.
    """
    name = idempotency_key(request)
    if name is None:
        answer: Answer = await parts.writer.call(_job(request, job, place, checked=checked, heavy=heavy))
        return answer
    if part is not None:
        # A caller's key never contains a space.
        name = f"{name} {part}"
    now, fingerprint = parts.clock.now(), _fingerprint(request)

    def run(db: Db) -> Answer | WithEvents:
        before = answers.claim(db, request.key.id, name, fingerprint, now)
        if before is not None:
            if request.act is not None:
                request.act.is_repeat = True
            return _again(before, fingerprint, request, name)
        try:
            made = job(db)
        except TidingsError:
            if checked:
                # Nothing else was written, and no savepoint undoes the claim.
                answers.release(db, request.key.id, name)
            raise
        answer: Answer = made.result if isinstance(made, WithEvents) else made
        body = _bytes(answer.body)
        text = _sealed(body, request, name) if request.operation.secret else body.decode()
        this = answers.Kept(fingerprint=fingerprint, status=answer.status, headers=answer.headers, body=text)
        answers.keep(db, request.key.id, name, this, now)
        return made

    order = (*place, request.key.id, name)
    answered: Answer = await parts.writer.call(_job(request, run, order, checked=checked, heavy=heavy))
    return answered


def _job(request: Request, run: Callable[[Db], Any], order: Order, *, checked: bool, heavy: bool) -> Job:
    if heavy:
        return Heavy(run, request.key.tenant)
    return NoSavepoint(run, order) if checked else Ordered(run, order)


def run_once(parts: Parts, request: Request, answer: Callable[[T], Answer]) -> Run[T, Answer]:
    """`once` for jobs from outside web: runs a job, and keeps what `answer` makes of its result."""
    return lambda job: once(parts, request, lambda db: answer(job(db)))


async def kept(parts: Parts, request: Request) -> Answer | None:
    """The earlier response for the request's Idempotency-Key, for requests that take several jobs."""
    name = idempotency_key(request)
    if name is None:
        return None
    now = parts.clock.now()
    before = await parts.readers.call(lambda db: answers.find(db, request.key.id, name, now), request.key.tenant)
    return None if before is None else _again(before, _fingerprint(request), request, name)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def _fingerprint(request: Request) -> str:
    where = msgspec.json.encode([request.path, request.query] if request.query else request.path, order="sorted")
    parts = [request.operation.name.encode(), where, request.raw]
    # A different condition makes it a different request, which must not get the response of the first.
    parts += [
        f"{name}:{request.headers[name]}".encode() for name in ("if-match", "if-none-match") if name in request.headers
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _again(kept: answers.Kept, fingerprint: str, request: Request, name: str) -> Answer:
    if kept.fingerprint != fingerprint:
        raise _wrong(
            "idempotency_key_reused", "This Idempotency-Key was already used for a different request. Choose a new one."
        )
    body = _opened(kept.body, request, name) if request.operation.secret else kept.body.encode()
    return Answer(kept.status, body or None, [*kept.headers, REPLAYED])


def _wrong(code: str, detail: str) -> Invalid:
    return Invalid(detail, code=code, errors=[Place(parameter="Idempotency-Key", code=code, detail=detail)])


# A response that contains a secret is kept encrypted with the text of the caller's key, which is stored nowhere.


def _sealed(body: bytes, request: Request, name: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(_own_key(request)).encrypt(nonce, body, name.encode())).decode()


def _opened(text: str, request: Request, name: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    blob = base64.b64decode(text)
    return AESGCM(_own_key(request)).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], name.encode())


def _own_key(request: Request) -> bytes:
    return hashlib.sha256(b"kept answer\0" + request.headers["authorization"].encode()).digest()

"""`/llms.txt`: what a language model needs to know about this API, made from the menu (https://llmstxt.org)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidings.web.operation import Answer, Handler, Operation, Request
from tidings.web.parts import Parts

MEDIA = "text/plain; charset=utf-8"
HEAD = """\
# Tidings

> A self-hosted server that gives an application an API and webhooks. Declared collections have items that callers list,
> create, edit and delete, as their keys permit. Everything that happens is an event, and each event is sent as a signed
> POST, with retries, to every URL registered for it. The server also receives other systems' webhooks and people's form
> submissions, and links APIs together.

- Every call has `Authorization: Bearer tdk_...`; a key sees and does only what its scopes and permits allow.
- The bodies of requests and responses are JSON. Lists are `{"data": [...], "next_cursor": ...}`: pass `next_cursor` as
  `cursor` to get the next page. `fields` chooses members, `sort` the order; filters are parameters, such as
  `state=failed` or `time__gte=2026-01-01T00:00:00Z`.
- A refusal is a problem (RFC 9457) with `code`, `detail` and `errors`; each error has a `pointer` to the wrong value.
- A POST with an `Idempotency-Key`, or an event with your own `id`, can be repeated safely.
- Webhooks are signed as Standard Webhooks: verify the raw body before parsing it.

## Read next

- [OpenAPI 3.1 document](v1/openapi.json): everything that your key may do, with schemas and examples
- [The page of your key](docs): the operations that your key may call, to copy and try
- [Tools](mcp): the same operations as tools of the Model Context Protocol
"""


def llms_text(operations: Iterable[Operation]) -> str:
    """The whole text. Operations on items are templates here, because each collection and key has its own."""
    by_tag: dict[str, list[str]] = {}
    for operation in operations:
        if not operation.internal:
            line = f"- `{operation.method} {operation.path}`: {operation.summary}"
            by_tag.setdefault(operation.tag, []).append(line)
    sections = [f"## {tag}\n\n" + "\n".join(lines) for tag, lines in by_tag.items()]
    return "\n\n".join([HEAD.rstrip(), *sections]) + "\n"


def _handler(operations: Sequence[Operation]) -> Handler:
    text: list[bytes] = []

    async def llms(parts: Parts, request: Request) -> Answer:
        """The text, made when it is first asked for."""
        if not text:
            text.append(llms_text(operations).encode())
        return Answer(200, text[0], media=MEDIA, cache="public, max-age=3600")

    return llms


def operation(operations: Sequence[Operation]) -> Operation:
    """The row of the menu; `operations` is what the text is made from."""
    return Operation(
        name="llms",
        method="GET",
        path="/llms.txt",
        scope=None,
        summary="Read what a language model needs to know about this API",
        handler=_handler(operations),
        tag="Service",
        internal=True,
        response=str,
        media=MEDIA.partition(";")[0],
    )

"""Starlette and FastAPI: an endpoint that receives webhooks.

    @app.post("/in/slack")
    @webhook("slack", os.environ["SLACK_SECRET"])
    async def slack(received: VerifiedWebhook):
        print(received.type, received.value)

With FastAPI, the endpoint's other parameters are filled in as usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tidings.client.adapters.checking import AdapterReply, VerifiedWebhook, WebhookChecker

REQUEST = "webhook_request"
"""The name of the parameter for the request, which replaces the endpoint's first parameter."""

Endpoint = Callable[..., Any]


def webhook(*args: Any, **options: Any) -> Callable[[Endpoint], Endpoint]:
    """Pass only genuine webhooks to an endpoint, as a `VerifiedWebhook` in its first parameter.

    The arguments are those of `WebhookChecker`. Other requests get a 401 with the reason, and handshakes get the
    response that their senders expect. If the endpoint returns None, the response is 204, or what the sender expects.
    """
    checker = WebhookChecker(*args, **options)

    def decorated(endpoint: Endpoint) -> Endpoint:
        is_async = inspect.iscoroutinefunction(endpoint)

        @wraps(endpoint)
        async def checked(*path: Any, **named: Any) -> Any:
            request = path[0] if path else named.pop(REQUEST)
            found = await _taken(checker, request)
            if not isinstance(found, VerifiedWebhook):
                return _response(found)
            called = endpoint(found, **named) if is_async else run_in_threadpool(endpoint, found, **named)
            said = await called
            return _response(checker.accepted()) if said is None else said

        first, *rest = inspect.signature(endpoint).parameters.values()
        asked = inspect.Parameter(REQUEST, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
        assert first.name != REQUEST
        checked.__signature__ = inspect.Signature([asked, *rest])  # type: ignore[attr-defined]
        return checked

    return decorated


async def _taken(checker: WebhookChecker, request: Request) -> VerifiedWebhook | AdapterReply:
    body = await request.body()
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = (request.scope.get("raw_path") or request.scope["path"].encode()).decode("latin-1").partition("?")[0]
    parts = (
        request.method,
        f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
        path + (f"?{query}" if query else ""),
        request.headers.items(),
        body,
        request,
    )
    return await run_in_threadpool(checker.take, *parts) if checker.fetch else checker.take(*parts)


def _response(reply: AdapterReply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))

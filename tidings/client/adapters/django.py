"""Django: a view that receives webhooks.

    @webhook("github", settings.GITHUB_SECRET)
    def github(received):
        print(received.type, received.value)

The view is exempt from CSRF tokens, because the signature replaces them. `async` views work as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from tidings.client.adapters.checking import AdapterReply, VerifiedWebhook, WebhookChecker, target_of

View = Callable[..., Any]


def webhook(*args: Any, **options: Any) -> Callable[[View], View]:
    """Pass only genuine webhooks to a view, as a `VerifiedWebhook` instead of the request.

    The arguments are those of `WebhookChecker`. Other requests get a 401 with the reason, and handshakes get the
    response that their senders expect. If the view returns None, the response is 204, or what the sender expects.
    """
    checker = WebhookChecker(*args, **options)

    def decorated(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *path: Any, **named: Any) -> Any:
            found = _take(checker, request)
            if not isinstance(found, VerifiedWebhook):
                return _response(found)
            return _said(checker, view(found, *path, **named))

        @wraps(view)
        async def checked_async(request: HttpRequest, *path: Any, **named: Any) -> Any:
            found = await sync_to_async(_take)(checker, request) if checker.fetch else _take(checker, request)
            if not isinstance(found, VerifiedWebhook):
                return _response(found)
            return _said(checker, await view(found, *path, **named))

        made: Any = checked_async if iscoroutinefunction(view) else checked
        made.csrf_exempt = True
        return made  # type: ignore[no-any-return]

    return decorated


def _take(checker: WebhookChecker, request: HttpRequest) -> VerifiedWebhook | AdapterReply:
    return checker.take(
        request.method or "",
        f"{request.scheme}://{request.get_host()}",
        _target(request),
        list(request.headers.items()),
        request.body,
        request,
    )


def _target(request: HttpRequest) -> str:
    scope: Mapping[str, Any] | None = getattr(request, "scope", None)
    if scope is not None and scope.get("raw_path"):
        query = scope.get("query_string", b"").decode("latin-1")
        return str(scope["raw_path"].decode("latin-1")) + (f"?{query}" if query else "")
    return target_of(request.META, request.path)


def _said(checker: WebhookChecker, said: Any) -> Any:
    return _response(checker.accepted()) if said is None else said


def _response(reply: AdapterReply) -> HttpResponse:
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))

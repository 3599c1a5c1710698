"""Flask: a view that receives webhooks.

@app.route("/in/stripe", methods=["POST"])
@webhook("stripe", os.environ["STRIPE_SECRET"])
def stripe(received):
    print(received.type, received.value)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, request

from tidings.client.adapters.checking import AdapterReply, VerifiedWebhook, WebhookChecker, target_of

View = Callable[..., Any]


def webhook(*args: Any, **options: Any) -> Callable[[View], View]:
    """Pass only genuine webhooks to a view, as a `VerifiedWebhook` in its first parameter.

    The arguments are those of `WebhookChecker`. Other requests get a 401 with the reason, and handshakes get the
    response that their senders expect. If the view returns None, the response is 204, or what the sender expects.
    """
    checker = WebhookChecker(*args, **options)

    def decorated(view: View) -> View:
        @wraps(view)
        def checked(*path: Any, **named: Any) -> Any:
            found = checker.take(
                request.method,
                f"{request.scheme}://{request.host}",
                target_of(request.environ, request.root_path + request.path),
                list(request.headers.items()),
                request.get_data(),
                request,
            )
            if not isinstance(found, VerifiedWebhook):
                return _response(found)
            said = view(found, *path, **named)
            return _response(checker.accepted()) if said is None else said

        return checked

    return decorated


def _response(reply: AdapterReply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))

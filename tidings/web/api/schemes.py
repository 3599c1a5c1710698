"""The operation that shows one signature scheme whole: its form, and a sample of its sender's requests."""

from __future__ import annotations

from tidings.model.errors import NotFound
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.views.schemes import SchemeDetail, scheme_detail
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


async def get_scheme(parts: Parts, request: Request) -> Answer:
    """Everything about one scheme, by its name or an alias. Raises NotFound."""
    try:
        scheme = schemes.named(request.path["name"])
    except Refused as unknown:
        raise NotFound(unknown.detail) from None
    return Answer(200, scheme_detail(scheme))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_scheme",
        method="GET",
        path="/v1/schemes/{name}",
        scope="hooks:read",
        summary="Read a signature scheme, with its form and a sample",
        help=(
            "`name` can also be an alias, such as `whatsapp`. In the response, `form` is how you would declare the "
            "scheme yourself, and `sample` is a request that is signed with the example secret, or unsigned if the "
            "scheme uses a key pair."
        ),
        handler=get_scheme,
        tag="Hooks",
        response=SchemeDetail,
    ),
)

"""Which requests come from our own pages, so that no other site can make a browser act for its user."""

from __future__ import annotations

from collections.abc import Mapping

from tidings.model.errors import Forbidden
from tidings.rules.forms.senders import is_own, sender_of
from tidings.rules.network.origin import PublicUrl


def check_sender(headers: Mapping[str, str], public: PublicUrl | None) -> None:
    """Raise Forbidden unless a request that changes something was sent from a page of this server.

    Browsers say so in `Sec-Fetch-Site` and `Origin`. At least one of them must be present, and they must agree.
    """
    site = headers.get("sec-fetch-site")
    sender = sender_of(headers)
    own = sender is not None and is_own(sender, headers.get("host", ""), public)
    if site is None and not own:
        raise Forbidden(
            "This request was not sent from a page of this server. Programs must use the API.", code="foreign_page"
        )
    if site is not None and (site != "same-origin" or (sender is not None and not own)):
        raise Forbidden("This request was sent from a page of another site.", code="foreign_page")

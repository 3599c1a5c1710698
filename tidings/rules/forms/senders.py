"""Whether a form may be submitted from the page that a request comes from.

Browsers report that in `Sec-Fetch-Site`, in `Origin`, or at least in `Referer`. A program that is not a browser
reports nothing, but it would not need a page to trick anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tidings.rules.network.origin import ANY, PublicUrl

_PORT = re.compile(":(80|443)$")
"""The default ports. Browsers leave them out of an origin, but proxies may put them into `Host`."""
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*://[^/?#\s]*)", re.IGNORECASE)


def sender_of(headers: Mapping[str, str]) -> str | None:
    """The origin of the page that a request comes from; None if nothing says so. `null` for pages that hide it."""
    if "origin" in headers:
        return headers["origin"].lower()
    found = _ORIGIN.match(headers.get("referer", ""))
    return found[1].lower() if found else None


def is_own(sender: str, host: str, public: PublicUrl | None) -> bool:
    """Whether an origin is this server's: its public one, or the host that the request names.

    Behind a proxy, the server does not know the scheme with which it was called, so only the host counts.
    """
    return (public is not None and sender == public.origin.lower()) or (
        bool(host) and sender.partition("://")[2] == _PORT.sub("", host.lower())
    )


def may_submit(headers: Mapping[str, str], public: PublicUrl | None, origins: tuple[str, ...]) -> bool:
    """Whether a request's origin may submit the form. `origins`: those of the form, in addition to our own."""
    site = headers.get("sec-fetch-site", "")
    if site == "same-origin" or ANY in origins:
        return True
    sender = sender_of(headers)
    if sender is None:
        return site in ("", "none")
    return sender in origins or is_own(sender, headers.get("host", ""), public)

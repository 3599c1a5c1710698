"""The portal's HTML: the frame, which contains nothing of a tenant's, the content inside it, and refusals as
sentences."""

from __future__ import annotations

from typing import Any

from tidings.model.errors import TidingsError
from tidings.model.portal.link import PortalLink
from tidings.rules.portal import theme as themes
from tidings.web.pages.templates import Templates
from tidings.web.portal.visits import PortalView, PortalVisit

PRODUCT = "Webhooks"
NAV = (("", "Endpoints"), ("/log", "Log"), ("/types", "Event types"), ("/verify", "Verify"))
ENDED = ("portal_session_ended", "key_expired")
"""Codes of refusals after which only a new link helps."""


class Frame:
    """Renders pages. `base`: the path of the portal as browsers see it."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._templates = Templates("tidings.web.portal")

    def whole(self, link: PortalLink) -> str:
        """The frame of a link: its look, and what its script needs."""
        return self._templates.render("frame.html", **self._common(link), nav_entries=NAV, title="Opening")

    def sheet(self, link: PortalLink) -> str:
        """The style sheet of a link's theme."""
        return themes.sheet(link.options.theme)

    def inside(self, visit: PortalVisit, shown: PortalView, notice: str) -> str:
        """The content of the frame."""
        return self._templates.render(
            f"{shown.template}.html",
            **self._common(visit.link),
            title=shown.title,
            sentence=shown.sentence,
            state=shown.state,
            nav=shown.nav,
            notice=notice,
            may_change=visit.may_change,
            **shown.values,
        )

    def problem(self, link: PortalLink, wrong: TidingsError) -> str:
        """A refusal inside the frame."""
        return self._templates.render("wrong.html", **self._common(link), **_told(wrong))

    def nothing(self, wrong: TidingsError) -> str:
        """A refusal if there is no link, and so no theme."""
        return self._templates.render("nothing.html", base=self._base, product=PRODUCT, **_told(wrong))

    def _common(self, link: PortalLink) -> dict[str, Any]:
        options = link.options
        return {
            "base": self._base,
            "root": f"{self._base}/{link.id}",
            "product": options.theme.product or PRODUCT,
            "theme": options.theme.mode,
            "logo": options.theme.logo,
            "empty_texts": options.theme.empty,
            "return_url": options.return_url,
            "frame_origins": " ".join(options.frame_origins),
        }


def _told(wrong: TidingsError) -> dict[str, Any]:
    is_ended = wrong.code in ENDED
    return {
        "title": "Your session has ended" if is_ended else wrong.title,
        "detail": wrong.detail,
        "places": [each.detail for each in wrong.errors if each.detail != wrong.detail],
        "nav": "",
        "notice": "",
        "ended": is_ended,
    }

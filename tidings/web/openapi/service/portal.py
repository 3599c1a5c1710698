"""What the portal needs, in the document: links, and trials of endpoints, with their bounds and examples."""

from __future__ import annotations

from typing import Any

from tidings.control.portal import links
from tidings.model.delivery import ANSWER_BYTES_KEPT
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.rules.network import origin
from tidings.rules.portal import theme
from tidings.rules.reading.jsontext import INTEGER_MAX, NO_NUL

Schema = dict[str, Any]
_THEN, _LATER = "2026-11-21T01:02:03.456Z", "2026-11-21T02:02:03.456Z"
_PTL = "ptl_01m7xv5zj8f6nbxq0w1v2yd3ek"

_TEXT: Schema = {"pattern": r"^[^\x00-\x1f\x7f]*$"}
_TIME: Schema = {"format": "date-time", "maxLength": 35}
_LINK: dict[str, Schema] = {
    "frame_origins": {
        "maxItems": links.FRAME_ORIGINS_MAX,
        "items": {
            "type": "string",
            "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
            "maxLength": origin.ORIGIN_CHARS_MAX,
        },
    },
    "return_url": {"pattern": links.RETURN_URL_PATTERN, "maxLength": links.URL_CHARS_MAX},
}
_VIEW: dict[str, Schema] = {
    **_LINK,
    "id": {"pattern": rf"^ptl_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 4 + ID_CHARS},
    "opened": _TIME,
    "session_expires": _TIME,
    "notes": {"maxItems": 2, "items": {"type": "string", "maxLength": 300}},
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "EndpointTrialView": {
        "status": {"minimum": 0, "maximum": 999},
        "says": {"maxLength": 2**31 - 1, "pattern": NO_NUL},
        "answer": {"maxLength": ANSWER_BYTES_KEPT, "pattern": NO_NUL},
        "request_headers": {"values": {"maxLength": 2**31 - 1, "pattern": NO_NUL}},
    },
    "NewPortalLink": {
        **_LINK,
        "expires_in": {"minimum": links.EXPIRES_SECONDS_MIN, "maximum": links.EXPIRES_SECONDS_MAX},
    },
    "Theme": {
        "product": _TEXT | {"maxLength": theme.PRODUCT_CHARS_MAX},
        "accent": {"pattern": theme.ACCENT_PATTERN, "maxLength": 7},
        "radius": {"minimum": 0, "maximum": theme.RADIUS_MAX},
        "logo": {"maxLength": theme.LOGO_CHARS_MAX, "pattern": r"^(data:image/|[0-9a-f]{64}$|$)"},
    },
    "EmptyTexts": dict.fromkeys(
        ("endpoints", "deliveries", "event_types"), _TEXT | {"maxLength": theme.EMPTY_CHARS_MAX}
    ),
    "PortalLinkView": _VIEW,
    "CreatedPortalLink": {
        **_VIEW,
        "url": {"format": "uri-reference", "maxLength": origin.URL_CHARS_MAX + 100},
    },
    "RevokedLinks": {"revoked": {"minimum": 0, "maximum": INTEGER_MAX}},
}

_ANSWER: dict[str, Any] = {
    "id": _PTL,
    "tenant": "acme",
    "may": "change",
    "frame_origins": ["https://app.example.com"],
    "theme": {"product": "Example Shop", "accent": "#0a7cff"},
    "return_url": "https://app.example.com/settings",
    "state": "ready",
    "created": _THEN,
    "expires": _LATER,
    **dict.fromkeys(("opened", "session_expires", "revoked")),
    "notes": [
        "The accent #0a7cff has a contrast of 3.4:1 on light pages, but 4.5:1 is needed, so #0967d2 is used on them "
        "instead."
    ],
}
ANSWERS: dict[str, Any] = {
    "EndpointTrialView": {
        "works": False,
        "outcome": "bad_status",
        "status": 401,
        "duration_ms": 48,
        "says": "The endpoint answered 401.",
        "answer": "no signature",
        "request_headers": {"webhook-id": "evt_01m7xv663afar931yg06gzrrhs"},
    },
    "PortalLinkView": _ANSWER,
    "CreatedPortalLink": {
        **_ANSWER,
        "url": f"https://example.com/portal/{_PTL}#" + "k7Jx0Q2b9Lr" * 3 + "mW4s8Yt1Vz",
    },
    "RevokedLinks": {"revoked": 2},
}

"""What browsers may do with our pages: use our own scripts and styles, no inline ones, and nothing of anyone else's.

Scripts may turn a text into markup only if the policy of `static/page.js` lets it through (Trusted Types).
"""

from __future__ import annotations

from collections.abc import Sequence

_SELF = "'self'"


def page_headers(frame_ancestors: Sequence[str] = (), images: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The headers of a page. `frame_ancestors`: origins whose pages may show it in a frame; `images`: more sources."""
    ancestors = " ".join(frame_ancestors) or "'none'"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src {' '.join((_SELF, 'data:', *images))}; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types default"
    )
    headers = [
        ("content-security-policy", policy),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ]
    if not frame_ancestors:
        headers.append(("x-frame-options", "DENY"))
    return headers

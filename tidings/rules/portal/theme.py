"""A theme as callers write it: what it can contain, the notes about it, and its style sheet."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec

from tidings.model.portal.link import EmptyTexts, Font, Logo, Theme
from tidings.rules.portal.colors import CONTRAST_MIN, DARK_GROUND, LIGHT_GROUND, color, contrast, shades
from tidings.rules.reading.refused import Refused

PRODUCT_CHARS_MAX = 100
EMPTY_CHARS_MAX = 500
RADIUS_MAX = 24
LOGO_BYTES_MAX = 65_536
LOGO_CHARS_MAX = LOGO_BYTES_MAX * 4 // 3 + 100
ACCENT_PATTERN = "^(#[0-9A-Fa-f]{3}|#[0-9A-Fa-f]{6})?$"
LOGO_PATTERN = "^(data:image/(png|jpeg|gif|webp|svg\\+xml);base64,[A-Za-z0-9+/]+={0,2})?$"

FONTS: dict[Font, str] = {
    "system": 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
    "humanist": 'Seravek, "Gill Sans Nova", Ubuntu, Calibri, "DejaVu Sans", source-sans-pro, sans-serif',
    "rounded": 'ui-rounded, "Hiragino Maru Gothic ProN", Quicksand, Comfortaa, Manjari, Calibri, sans-serif',
    "serif": 'Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif',
    "mono": 'ui-monospace, "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace',
}

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_LOGO = re.compile(LOGO_PATTERN)
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "image/svg+xml": (b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg"),
}


def checked(theme: Theme) -> tuple[Theme, Logo | None]:
    """The theme to store, whose `logo` is the hash of its image, and the image. Raises Refused."""
    _check_text(theme.product, PRODUCT_CHARS_MAX, "/theme/product")
    for name in EmptyTexts.__struct_fields__:
        _check_text(getattr(theme.empty, name), EMPTY_CHARS_MAX, f"/theme/empty/{name}")
    if not 0 <= theme.radius <= RADIUS_MAX:
        raise Refused("/theme/radius", "out_of_range", f"The radius must be from 0 to {RADIUS_MAX} pixels.")
    accent = theme.accent
    if accent:
        found = color(accent)
        if found is None:
            detail = f"{accent[:50]!r} is not a colour. Write one such as #0a7cff."
            raise Refused("/theme/accent", "wrong_value", detail)
        accent = found
    logo = _logo(theme.logo) if theme.logo else None
    return msgspec.structs.replace(theme, accent=accent, logo="" if logo is None else logo.hash), logo


def notes(theme: Theme) -> list[str]:
    """Sentences about what is shown differently than the theme specifies."""
    if not theme.accent:
        return []
    found = []
    for mode, ground, is_dark in (("light", LIGHT_GROUND, False), ("dark", DARK_GROUND, True)):
        if theme.mode not in ("auto", mode):
            continue
        shade = shades(theme.accent, dark=is_dark)
        if shade.is_adjusted:
            has = int(contrast(theme.accent, ground) * 10) / 10
            found.append(
                f"The accent {theme.accent} has a contrast of {has}:1 on {mode} pages, but {CONTRAST_MIN}:1 is "
                f"needed, so {shade.accent} is used on them instead."
            )
    return found


def sheet(theme: Theme) -> str:
    """The theme as CSS: values of custom properties, none of them copied from its maker's text."""
    found = f":root {{ --radius: {theme.radius}px; }}\nbody {{ font-family: {FONTS[theme.font]}; }}\n"
    if not theme.accent:
        return found
    light, dark = _accents(theme.accent, dark=False), _accents(theme.accent, dark=True)
    return (
        f'{found}:root {{ {light} }}\n:root[data-theme="dark"] {{ {dark} }}\n'
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}\n'
    )


def _accents(accent: str, *, dark: bool) -> str:
    shade = shades(accent, dark=dark)
    return (
        f"--accent: {shade.accent}; --accent-deep: {shade.deep}; --accent-soft: {shade.soft}; "
        f"--on-accent: {shade.on_accent};"
    )


def _check_text(text: str, most: int, pointer: str) -> None:
    if len(text) > most:
        raise Refused(pointer, "too_long", f"It can be at most {most} characters long.")
    if _CONTROL.search(text):
        raise Refused(pointer, "control_character", "It must not contain control characters.")


def _logo(text: str) -> Logo:
    """The image of a `data:` URL. Raises Refused."""
    where = "/theme/logo"
    if len(text) > LOGO_CHARS_MAX:
        raise Refused(where, "too_large", f"The logo can be at most {LOGO_BYTES_MAX:,} bytes long.")
    match = _LOGO.fullmatch(text)
    if match is None:
        detail = "Write a data: URL such as data:image/png;base64,iVBORw0... with a PNG, JPEG, GIF, WebP or SVG image."
        raise Refused(where, "wrong_value", detail)
    try:
        content = base64.b64decode(text.partition(",")[2], validate=True)
    except binascii.Error:
        raise Refused(where, "wrong_value", "The part after the comma is not valid base64.") from None
    if len(content) > LOGO_BYTES_MAX:
        raise Refused(where, "too_large", f"The logo can be at most {LOGO_BYTES_MAX:,} bytes long.")
    media = f"image/{match[2]}"
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_BEGINNINGS[media]):
        raise Refused(where, "wrong_value", f"The content is not of the type {media}.")
    return Logo(hashlib.sha256(content).hexdigest(), media, content)

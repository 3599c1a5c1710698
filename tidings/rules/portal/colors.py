"""Colours: contrast as WCAG 2 defines it, and how an accent is adjusted until people can read it."""

from __future__ import annotations

import re
from typing import NamedTuple

CONTRAST_MIN = 4.5
"""The minimum contrast of text of normal size (WCAG 2.2, 1.4.3)."""
LIGHT_GROUND, DARK_GROUND = "#f0eee8", "#181d20"
"""The backgrounds of our pages (web/pages/static/page.css) on which an accent is hardest to read."""
PAPER, NIGHT = "#ffffff", "#101416"
SOFT_SHARE, DEEP_SHARE = 0.12, 0.22

_COLOR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})")
_STEPS = 100


class Shades(NamedTuple):
    """An accent for one mode: the colour itself, and that of text on it."""

    accent: str
    on_accent: str
    deep: str
    """The accent of what is under the pointer, and of text on `soft`."""
    soft: str
    """The background of what is selected."""
    is_adjusted: bool


def color(text: str) -> str | None:
    """A colour as `#rrggbb`; None if the text is not `#rgb` or `#rrggbb`."""
    match = _COLOR.fullmatch(text.lower())
    if match is None:
        return None
    digits = match[1] if len(match[1]) == 6 else "".join(each * 2 for each in match[1])
    return f"#{digits}"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours `#rrggbb`, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def shades(accent: str, *, dark: bool) -> Shades:
    """The nearest colours that can be read on the page: darker on a light page, lighter on a dark one."""
    ground, goal = (DARK_GROUND, "#ffffff") if dark else (LIGHT_GROUND, "#000000")
    found = accent
    for step in range(_STEPS + 1):
        found = _mixed(accent, goal, step / _STEPS)
        if contrast(found, ground) >= CONTRAST_MIN:
            break
    on = max("#ffffff", "#000000", key=lambda each: contrast(each, found))
    soft = _mixed(NIGHT if dark else PAPER, found, SOFT_SHARE)
    return Shades(found, on, _mixed(found, goal, DEEP_SHARE), soft, found != accent)


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(text: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(text))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _parts(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

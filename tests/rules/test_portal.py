"""The portal's looks: colours that people can read, and sheets that hold only what we wrote."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tidings.model.portal.link import Theme
from tidings.rules.portal.colors import CONTRAST_MIN, DARK_GROUND, LIGHT_GROUND, color, contrast, shades
from tidings.rules.portal.theme import checked, notes, sheet

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == 21 and contrast("#777777", "#777777") == 1
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54


def test_a_colour_is_read_in_two_forms() -> None:
    assert color("#FC0") == "#ffcc00" and color("#0A7CFF") == "#0a7cff"
    assert [color(text) for text in ("red", "#12", "#1234", "#12345g", "", "#fff;")] == [None] * 6


@given(COLORS)
def test_every_accent_can_be_read_wherever_a_page_shows_it(accent: str) -> None:
    for is_dark, ground in ((False, LIGHT_GROUND), (True, DARK_GROUND)):
        shade = shades(accent, dark=is_dark)
        pairs = [(shade.accent, ground), (shade.accent, shade.on_accent), (shade.deep, shade.soft)]
        pairs.append((shade.deep, shade.on_accent))
        assert all(contrast(one, other) >= CONTRAST_MIN for one, other in pairs), (accent, is_dark, shade)
        assert shade.is_adjusted == (contrast(accent, ground) < CONTRAST_MIN)


def test_what_is_adjusted_is_said_for_the_modes_that_show_it() -> None:
    assert len(notes(Theme(accent="#ffcc00"))) == 1 and "light" in notes(Theme(accent="#ffcc00"))[0]
    assert notes(Theme(accent="#ffcc00", mode="dark")) == [] == notes(Theme())
    assert "dark" in notes(Theme(accent="#1f3fbf", mode="dark"))[0]


def test_a_sheet_has_no_word_of_its_maker() -> None:
    theme, logo = checked(Theme(product="</style>{}", accent="#0af", radius=0, font="serif"))
    assert logo is None and theme.accent == "#00aaff"
    assert "style" not in sheet(theme) and not re.search(r"url|@import|expression|<", sheet(theme))
    assert "--accent" not in sheet(Theme())

"""Bugs of ours while a delivery is processed end only that delivery, with a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

ON_SERVER = "something went wrong on the server; its log says more"

log = logging.getLogger("tidings.deliver")


def contained(step: Callable[..., None], failed: Callable[[Exception], None]) -> Callable[..., None]:
    """Wrap a step: if it raises, `failed` is called with what it raised."""

    def taken(*given: Any) -> None:
        try:
            step(*given)
        except Exception as wrong:
            failed(wrong)

    return taken


def why(wrong: Exception) -> str:
    """What people are shown: the text of a ValueError.

    Anything else is a bug of ours, whose details go into the log.
    """
    if isinstance(wrong, ValueError):
        return str(wrong)
    log.error("a delivery could not be worked on", exc_info=wrong)
    return ON_SERVER

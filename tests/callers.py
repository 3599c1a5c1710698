"""Callers who are at it while the server goes away."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Callers:
    """Threads that each call `call(number)`, until it returns or the server is gone (OSError)."""

    def __init__(self, count: int, call: Callable[[int], object]) -> None:
        self._call = call
        self._wrong: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until every caller has ended. Raises what one of them raised."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a caller hangs"
        for wrong in self._wrong:
            raise wrong

    def _run(self, number: int) -> None:
        try:
            self._call(number)
        except OSError:
            return
        except BaseException as wrong:
            self._wrong.append(wrong)

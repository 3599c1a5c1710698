"""SIGTERM and Ctrl-C as KeyboardInterrupt, even if one arrives just before a blocking call.

Python runs its handlers between two instructions of the main thread. A signal that comes after the last of them and
before a blocking read begins is not noticed until that read ends, which may be half a minute later. And what a handler
raises is lost if it runs within a destructor, or a callback of the garbage collector. So a thread sends the signal to
the main thread again until the handler has run, and until somebody has caught what it raised.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

AGAIN_SECONDS, LOST_SECONDS = 0.05, 1.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def interrupt_on_signals() -> Callable[[], None]:
    """Raise KeyboardInterrupt in the main thread at the first SIGTERM or SIGINT. Call it there.

    Call the returned function once the KeyboardInterrupt was caught; until then it is raised again each second. If
    the process inherited a mask that blocks these signals, they are unblocked.
    """
    heard, caught = threading.Event(), threading.Event()
    main = threading.get_ident()
    read, write = os.pipe()
    os.set_blocking(write, False)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not heard.is_set() and not caught.is_set():
            heard.set()
            raise KeyboardInterrupt

    def insist() -> None:
        number = os.read(read, 1)[0]
        while not caught.is_set():
            while not heard.wait(AGAIN_SECONDS):
                signal.pthread_kill(main, number)
            if not caught.wait(LOST_SECONDS):
                heard.clear()

    for number in SIGNALS:
        signal.signal(number, interrupt)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=insist, name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return caught.set

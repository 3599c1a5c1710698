"""SIGTERM and Ctrl-C as KeyboardInterrupt, even if one arrives just before a blocking call.

Python runs its handlers between two instructions of the main thread. A signal that comes after the last of them and
before a blocking read begins is not noticed until that read ends, which may be half a minute later. So a thread sends
the signal to the main thread again until the handler has run.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

AGAIN_SECONDS = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def interrupt_on_signals() -> None:
    """Raise KeyboardInterrupt in the main thread, once, at the first SIGTERM or SIGINT. Call it there.

    It ends a blocking of these signals, which a process inherits from the one that started it.
    """
    heard = threading.Event()
    main = threading.get_ident()
    read, write = os.pipe()
    os.set_blocking(write, False)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def insist() -> None:
        number = os.read(read, 1)[0]
        while not heard.wait(AGAIN_SECONDS):
            signal.pthread_kill(main, number)

    for number in SIGNALS:
        signal.signal(number, interrupt)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=insist, name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

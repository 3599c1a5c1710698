"""What msgspec has to know before there are threads."""

from __future__ import annotations

import contextlib

import msgspec

_known: set[type[msgspec.Struct]] = set()


def learn_structs(kind: type[msgspec.Struct] = msgspec.Struct) -> None:
    """Have msgspec know every kind of struct. Of several servers in one process, only the first takes time.

    It learns a kind at its first use, and two threads that do so at the same time crash the interpreter.
    """
    for each in kind.__subclasses__():
        if each not in _known:
            _known.add(each)
            # Structs of functions, or of what only the type checker knows, are never read from JSON.
            with contextlib.suppress(TypeError, NameError):
                msgspec.json.Decoder(each)
        learn_structs(each)

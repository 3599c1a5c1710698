"""What msgspec must learn before there are threads."""

from __future__ import annotations

import contextlib
import sys

import msgspec

_known: set[type[msgspec.Struct]] = set()
_modules = 0
"""How many modules were loaded when `learn_structs` was last called."""


def learn_structs() -> None:
    """Make msgspec learn every kind of struct. If one process runs several servers, only the first call takes time.

    Otherwise msgspec learns a kind at its first use, and two threads that do so concurrently crash the interpreter.
    """
    global _modules
    if len(sys.modules) != _modules:
        _learn(msgspec.Struct)
        _modules = len(sys.modules)


def _learn(kind: type[msgspec.Struct]) -> None:
    for each in kind.__subclasses__():
        if each not in _known:
            _known.add(each)
            # Structs inside functions, or with types that only the type checker knows, are never read from JSON.
            with contextlib.suppress(TypeError, NameError):
                msgspec.json.Decoder(each)
        _learn(each)

"""What a rule raises when it refuses a value: one wrong place, named by a JSON pointer."""

from __future__ import annotations

from tidings.model.errors import Invalid, Place


class Refused(Invalid):
    """A value is wrong. `place` holds its pointer (relative to what was checked), a code, and a sentence."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        self.pointer = pointer
        self.place = Place(pointer=pointer, code=code, detail=detail)
        super().__init__(detail, errors=[self.place])

    def under(self, prefix: str) -> Refused:
        """The same refusal, with `prefix` in front of its pointer."""
        return Refused(prefix + self.pointer, self.place.code, self.detail)


def escaped(name: str) -> str:
    """A name as one step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")

"""The named schemes and handshakes: data, with one file for each family of senders, next to this one."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.checked import check_handshake
from tidings.rules.schemes.form import Handshake, Scheme, read, refused

FOLDER = Path(__file__).parent / "named"
HANDSHAKES = "handshakes.json"


def named(name: str) -> Scheme:
    """A scheme by its name, or by an alias. Raises Refused, with similar names."""
    found = _all()[1].get(name.strip().lower())
    if found is None:
        raise Refused("/scheme", "unknown_scheme", f"There is no signature scheme named {name[:100]!r}.{_hint(name)}")
    return found


def _hint(name: str) -> str:
    """What was probably meant: the likeliest spelling, or names that begin alike."""
    wanted = name.strip().lower()[:100]
    by_any = _all()[1]
    near = get_close_matches(wanted, by_any, n=3, cutoff=0.75) or [one for one in names() if wanted[:3] in one][:8]
    meant = list(dict.fromkeys(by_any[each].name for each in near))
    hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
    return f"{hint} `tidings schemes`, `GET /v1/schemes` and docs/reference/schemes.md list all schemes."


def names() -> tuple[str, ...]:
    """The names of all schemes, sorted."""
    return tuple(_all()[0])


def schemes() -> tuple[Scheme, ...]:
    """All named schemes, in the order of their names."""
    return tuple(_all()[0].values())


def families() -> dict[str, tuple[str, ...]]:
    """The names of the schemes of each family."""
    return {path.stem: tuple(msgspec.json.decode(path.read_bytes())) for path in _files()}


def named_handshake(name: str) -> Handshake:
    """A handshake by its name. Raises Refused."""
    found = handshakes().get(name)
    if found is None:
        detail = f"There is no handshake named {name[:100]!r}. The handshakes are: {', '.join(handshakes())}."
        raise Refused("/handshakes", "unknown_handshake", detail)
    return found


@cache
def handshakes() -> dict[str, Handshake]:
    """All named handshakes."""
    document = msgspec.json.decode((FOLDER / HANDSHAKES).read_bytes())
    found = {}
    for name, value in document.items():
        try:
            found[name] = msgspec.convert({"name": name, **value}, Handshake)
            check_handshake(found[name], "")
        except msgspec.ValidationError as wrong:
            raise refused(str(wrong)).under(f"/{name}") from None
    return found


def handshakes_of(scheme: Scheme) -> tuple[Handshake, ...]:
    """The handshakes of a scheme; those that are given by name are looked up."""
    return tuple(named_handshake(each) if isinstance(each, str) else each for each in scheme.handshakes)


def signs_for_anybody(scheme: Scheme) -> bool:
    """Whether an unsigned handshake of the scheme is answered with an HMAC, so that anybody can have tokens signed."""
    return any("{hmac-" in repr(one.reply) for one in handshakes_of(scheme) if one.verify == "before")


def _files() -> list[Path]:
    return sorted(path for path in FOLDER.glob("*.json") if path.name != HANDSHAKES)


@cache
def _all() -> tuple[dict[str, Scheme], dict[str, Scheme]]:
    """The schemes by name, and by each of their other names."""
    found: dict[str, Scheme] = {}
    for path in _files():
        document: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        for name, value in document.items():
            try:
                scheme = read({"name": name, **value})
                [named_handshake(each) for each in scheme.handshakes if isinstance(each, str)]
            except Refused as wrong:
                raise wrong.under(f"/{path.stem}/{name}") from None
            assert name not in found, f"two schemes are named {name}"
            found[name] = scheme
    by_any = {name: scheme for scheme in found.values() for name in scheme.aliases}
    return dict(sorted(found.items())), by_any | found

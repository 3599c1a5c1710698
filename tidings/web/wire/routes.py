"""Find the operation for a method and a path."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidings.model.errors import Malformed, NotAllowed, NotFound
from tidings.web.operation import Operation
from tidings.web.wire.hints import Hints

Found = tuple[Operation, dict[str, str]]

_NAME = re.compile(r"\{(\w+)\}")
_WITH_COLONS = ("event",)
"""Names in paths whose values may contain colons, because callers choose the ids of events."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffd]")


class Routes:
    """The menu as a table of fixed paths and a list of patterns."""

    def __init__(self, operations: Sequence[Operation], prefix: str = "") -> None:
        """`prefix`: the path of the server's public URL, which its proxy takes away."""
        self.fixed: dict[tuple[str, str], Operation] = {}
        self._patterns: list[tuple[re.Pattern[str], str, Operation]] = []
        self._by_head: dict[tuple[str, str], list[tuple[re.Pattern[str], Operation]]] = {}
        verbs = _verbs(operations)
        for operation in operations:
            if "{" in operation.path:
                pattern = _pattern(operation.path, verbs)
                self._patterns.append((pattern, operation.method, operation))
                self._by_head.setdefault((operation.method, _head(operation.path)), []).append((pattern, operation))
            else:
                self.fixed[operation.method, operation.path] = operation
        self._paths = {path for _, path in self.fixed}
        self._hints = Hints((operation.path for operation in operations), lambda path: bool(self.allowed(path)), prefix)

    def find(self, method: str, path: str) -> Found:
        """The operation and the values of its path's names. HEAD is answered as GET.

        Raises NotFound, NotAllowed (with `Allow`), or Malformed for paths with control characters.
        """
        if _CONTROL.search(path):
            raise Malformed("The path contains a control character, or is not valid UTF-8.")
        method = "GET" if method == "HEAD" else method
        fixed = self.fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        if path not in self._paths:
            for pattern, operation in self._by_head.get((method, _head(path)), ()):
                match = pattern.fullmatch(path)
                if match:
                    return operation, match.groupdict()
        allowed = self.allowed(path)
        if allowed:
            allow = ", ".join(allowed)
            raise NotAllowed(f"{method[:20]} is not supported here. Supported: {allow}.", headers=[("allow", allow)])
        raise NotFound(f"There is nothing at {path[:200] or 'this target'}. {self._hints.of(path)}")

    def allowed(self, path: str) -> list[str]:
        """The methods that the path supports, for `Allow`; empty if there is no such path."""
        methods = {method for method, its_path in self.fixed if its_path == path}
        if not methods:
            methods = {method for pattern, method, _ in self._patterns if pattern.fullmatch(path)}
        if not methods:
            return []
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods | {"OPTIONS"})


def _head(path: str) -> str:
    """The first two steps of a path, which are always fixed: `/v1/items`."""
    return path[: path.find("/", 4)]


def _verbs(operations: Sequence[Operation]) -> dict[str, set[str]]:
    """The fixed verbs after each `/v1/x:`: where a name is possible too, these are not names."""
    found: dict[str, set[str]] = {}
    for operation in operations:
        head, colon, verb = operation.path.rpartition(":")
        if colon and "{" not in verb:
            found.setdefault(head, set()).add(verb)
    return found


def _pattern(path: str, verbs: dict[str, set[str]]) -> re.Pattern[str]:
    """`/v1/x/{id}:verb` as a pattern. A name takes one step of the path without colons, since verbs follow them."""
    text = ""
    before = ""
    for index, part in enumerate(_NAME.split(path)):
        if index % 2:
            fixed = verbs.get(before[:-1]) if before.endswith(":") else None
            others = f"(?!(?:{'|'.join(sorted(fixed))})$)" if fixed else ""
            text += f"(?P<{part}>{others}{'[^/]+' if part in _WITH_COLONS else '[^/:]+'})"
            before += f"{{{part}}}"
        else:
            text += re.escape(part)
            before += part
    return re.compile(text)

"""Complete sentences for people, whatever an error's text is like."""

from __future__ import annotations

import errno
import os


def sentence(text: str) -> str:
    """The text with a capital letter (unless it begins with the name of a file or folder) and a full stop.

    A text that ends with a full stop is a sentence already and may begin with the name of something, so it is kept.
    """
    if text.endswith((".", "?", "!")):
        return text
    word = text.partition(" ")[0]
    if word.isalpha() and word.islower() and not os.path.exists(word):
        text = word.capitalize() + text[len(word) :]
    return text + "."


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 event`, `2 events`; `many` is the plural if it is not `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plain(wrong: OSError) -> str:
    """A refusal by the system, as a sentence that names the file and what to do."""
    if wrong.errno is None or not wrong.filename:
        return wrong.strerror or str(wrong)
    why = _ADVICE.get(wrong.errno, f"{(wrong.strerror or 'unknown error').lower()}.")
    return f"{_named(str(wrong.filename))} cannot be used: {why}"


def _named(name: str) -> str:
    # A plain word at the beginning of a sentence would be capitalized.
    return f"./{name}" if name.isalpha() else name


_ADVICE = {
    errno.EACCES: "the user running Tidings has no permission. Grant permission, or choose another path.",
    errno.EPERM: "the user running Tidings has no permission. Grant permission, or choose another path.",
    errno.EROFS: "its file system is read-only. Choose another path.",
    errno.EEXIST: "it is a file or a broken link, but must be a folder. Choose another path.",
    errno.ENOTDIR: "part of its path is a file, not a folder. Choose another path.",
    errno.ENOENT: "it does not exist, and cannot be created. Choose another path.",
    errno.ENOSPC: "the disk is full.",
    errno.ENAMETOOLONG: "the name is too long.",
    errno.EMFILE: "too many files are open. Raise the limit (ulimit -n).",
}

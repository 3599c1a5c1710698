"""Iterators of Svix's lists: one of a previous page has a minus sign in front, and any may begin with one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tidings.store.seal import Sealer
from tidings.web.svix.paging import span_of
from tidings.web.wire.cursors import Cursors


def test_an_iterator_that_begins_with_a_minus_sign_is_read_as_it_was_made() -> None:
    cursors = Cursors(Sealer(b"k" * 32), 0)
    begins = 0
    for place in range(300):
        sealed = cursors.seal(place, "messages")
        begins += sealed.startswith("-")
        for text, is_back in ((sealed, False), (f"-{sealed}", True)):
            request = cast("Any", SimpleNamespace(query={"iterator": text}, cursors=cursors))
            assert span_of(request, int, "messages")[1:] == (place, is_back)
    assert begins, "some of them do"

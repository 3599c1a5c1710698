"""Edits that links make of items: the same checks and events as the API's, with the link as the actor."""

from __future__ import annotations

import msgspec

from tidings.intake.items.change import Change, ItemChanges, ItemRequest
from tidings.intake.items.kinds import Kinds
from tidings.model.access import Key, Verb
from tidings.model.edit import EditDone, ItemEdit
from tidings.model.errors import Conflict, NotFound, Place
from tidings.model.link import EditWord
from tidings.rules.items.permit import READ_SCOPE, WRITE_SCOPE
from tidings.rules.reading import jsontext
from tidings.store.base import Db
from tidings.store.catalog import Catalog

VERBS: dict[EditWord, Verb] = {"create": "create", "put": "put", "patch": "edit", "delete": "delete"}
_DID: dict[EditWord, str] = {"create": "Created", "put": "Replaced", "patch": "Edited", "delete": "Deleted"}


class LinkEdits:
    """Makes edits of links in write jobs."""

    def __init__(self, items: ItemChanges, catalog: Catalog, kinds: Kinds) -> None:
        self._items, self._catalog, self._kinds = items, catalog, kinds
        self._key = Key(id="links", hash="", name="links", scopes=(READ_SCOPE, WRITE_SCOPE))
        """The key for edits by links. It may do everything, because only operators declare links. The event determines
        the tenant."""

    def make(self, db: Db, edit: ItemEdit) -> EditDone:
        """Make an edit, all of it or nothing. Raises Invalid, Conflict, NotFound, or Unavailable for now.

        Deleting a missing item, or creating the same item a second time, changes nothing.
        """
        collection = self._catalog.now.collections.get(edit.collection)
        if collection is None:
            detail = f"There is no collection {edit.collection}."
            raise NotFound(detail, errors=[Place(code="collection_missing", detail=detail)])
        grant = self._kinds.grant(self._key, collection)
        assert grant is not None, "the key may do everything"
        request = ItemRequest(
            grant=grant,
            key=self._key,
            request_id="",
            tenant=edit.tenant,
            id=edit.item,
            data=jsontext.read_exact(edit.values),
        )
        where = f"{edit.collection}/{edit.item}"
        try:
            change = self._items.do(db, VERBS[edit.word], request)
        except NotFound:
            if edit.word != "delete":
                raise
            return EditDone(sentence=f"There was no item {where} to delete.", revision=None)
        except Conflict as wrong:
            if not edit.is_made or wrong.code != "id_taken":
                raise
            return EditDone(sentence=f"{where} already exists: this event created it earlier.", revision=None)
        return _done(edit, change, where)


def _done(edit: ItemEdit, change: Change, where: str) -> EditDone:
    revision = None if change.after is None else change.after.revision
    if change.event is None:
        return EditDone(sentence=f"Nothing changed, because {where} already has these values.", revision=revision)
    word: EditWord = "create" if change.before is None else edit.word
    event = msgspec.structs.replace(
        change.event, actor=edit.link, request_id=None, cause=edit.cause, hops=edit.hops + 1, trace=edit.trace
    )
    return EditDone(sentence=f"{_DID[word]} {where}.", revision=revision, event=event)

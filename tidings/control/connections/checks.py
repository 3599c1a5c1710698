"""Checks of a link's declaration against the catalogue: its collection or connection must exist, and so on."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Iterable, Mapping

from tidings.model.calls.connection import Connection
from tidings.model.collection import Collection
from tidings.model.errors import Place
from tidings.model.link import AnyLink, CallApi, EditItem, SendMail
from tidings.rules.declare.connections import DeclaredConnection
from tidings.rules.declare.links import DeclaredLink
from tidings.rules.network.address import Networks, check_url
from tidings.rules.reading.refused import Refused, escaped


def refusals(
    declared: DeclaredLink,
    before: AnyLink | None,
    collections: Mapping[str, Collection],
    connections: Mapping[str, DeclaredConnection | Connection],
    at: str,
    networks: Networks,
) -> list[Place]:
    """What is wrong with a link. `at`: its pointer. `networks`: the ranges that the operator has opened for all."""
    found = []
    if before is not None and before.tenant != declared.tenant:
        detail = "The tenant of a link cannot be changed. Declare the link under another name, and delete this link."
        found.append(Place(pointer=f"{at}/tenant", code="fixed", detail=detail))
    if not isinstance(declared.what, EditItem):
        found += _of_connection(declared.what, connections, at, networks)
        emit = getattr(declared.what, "emit", None)
        of = "" if emit is None else emit.type.partition(".")[0] if emit.is_all else emit.type
        if of in collections:
            detail = f"Changes in the collection {of} are published as events of this type. Choose another type."
            found.append(Place(pointer=f"{at}/emit/type", code="event_type_taken", detail=detail))
        return found
    return [*found, *_of_edit(declared.what, collections, at)]


def still_used(links: Mapping[str, AnyLink], dropped: Names[str]) -> list[Place]:
    """Refusals for connections that would be dropped although links that are kept use them."""
    found = []
    for name, link in links.items():
        via = getattr(link.what, "via", None)
        if via in dropped:
            detail = f"The link {name} uses the connection {via}. Delete or change the link first."
            found.append(Place(pointer=None, code="used_by_link", detail=detail))
    return found


def _of_connection(
    what: CallApi | SendMail, connections: Mapping[str, DeclaredConnection | Connection], at: str, networks: Networks
) -> Iterable[Place]:
    part = "mail" if isinstance(what, SendMail) else "call"
    if what.via is None:
        yield from _of_host(what, at, networks)
        return
    connection = connections.get(what.via)
    if connection is None:
        detail = f"There is no connection {what.via[:100]}."
        yield Place(pointer=f"{at}/{part}/via", code="connection_missing", detail=detail)
    elif connection.options.is_mail != (part == "mail"):
        kinds = ["an HTTP server", "a mail server"]
        other, kind = kinds if part == "mail" else reversed(kinds)
        detail = f"`{part}` needs a connection to {kind}, but {what.via} is a connection to {other}."
        yield Place(pointer=f"{at}/{part}/via", code="wrong_value", detail=detail)


def _of_host(what: CallApi | SendMail, at: str, networks: Networks) -> Iterable[Place]:
    """A call to an IP address, or to this machine, needs a connection that allows it."""
    if isinstance(what, SendMail):
        return
    scheme, _, rest = what.path.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    try:
        check_url(origin, allow_http=True, allowed=networks)
    except Refused as refused:
        detail = f"{refused.detail} To allow private addresses for the link, give it a connection with `private`."
        yield Place(pointer=f"{at}/call/{what.verb}", code="refused_address", detail=detail)


def _of_edit(what: EditItem, collections: Mapping[str, Collection], at: str) -> Iterable[Place]:
    collection = collections.get(what.collection)
    if collection is None:
        detail = f"There is no collection {what.collection[:100]}."
        yield Place(pointer=f"{at}/item/collection", code="collection_missing", detail=detail)
        return
    if type(what.values) is not dict:
        return
    fields = {field.name: field for field in collection.fields}
    for name in what.values:
        if name not in fields and name != "id":
            detail = f"There is no field {name[:100]!r} in {collection.name}. Its fields are: {', '.join(fields)}."
            yield Place(pointer=f"{at}/item/data/{escaped(name)}", code="unknown_field", detail=detail)
    for field in fields.values() if what.edit in ("create", "put") else ():
        if field.required and field.default is None and field.name not in what.values:
            detail = f"{collection.name} requires the field {field.name!r}."
            yield Place(pointer=f"{at}/item/data/{field.name}", code="missing", detail=detail)

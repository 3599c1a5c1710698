"""A program that uses the client which was made from the document: it is run where that client is, with URL and key.

It prints what it did, one word a step, and fails at the first step that goes otherwise.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from tidings_made import AuthenticatedClient
from tidings_made.api.collections import get_collection, list_collections
from tidings_made.api.endpoints import create_endpoint, delete_endpoint, edit_endpoint, get_endpoint, list_endpoints
from tidings_made.api.events import get_event, list_events, publish_event
from tidings_made.api.rooms import (
    rooms_ask_by_floor,
    rooms_batch,
    rooms_create,
    rooms_delete,
    rooms_edit,
    rooms_get,
    rooms_list,
)
from tidings_made.models import (
    Accepted,
    CollectionList,
    CollectionView,
    EndpointList,
    EndpointPatch,
    EndpointView,
    EventDetail,
    EventList,
    GetEndpointFieldsItem,
    NewEndpoint,
    NewEvent,
    NewEventData,
    Problem,
    RoomsAskByFloorKind,
    RoomsBatch,
    RoomsBatchCreate,
    RoomsBatchCreateOp,
    RoomsBatchDelete,
    RoomsBatchDeleteOp,
    RoomsBatchEdit,
    RoomsBatchEditOp,
    RoomsItem,
    RoomsListSortItem,
    RoomsNew,
    RoomsPage,
    RoomsPatch,
    RoomsResults,
)


def main(url: str, key: str) -> None:
    """Publish, read and list an event; register, read, list, change and delete an endpoint, then items."""
    with AuthenticatedClient(base_url=url, token=key) as client:
        events(client)
        endpoint(client)
        collections(client)
        items(client)
        batch(client)


def events(client: AuthenticatedClient) -> None:
    """What happened can be read again as it was shown."""
    data = NewEventData.from_dict({"id": "c1", "price": 1.5})
    accepted = publish_event.sync(client=client, body=NewEvent(type_="cars.sold", data=data, subject="c1"))
    assert isinstance(accepted, Accepted), accepted
    print("published")
    read = get_event.sync(accepted.id, client=client)
    assert (
        isinstance(read, EventDetail) and read.data.to_dict() == {"id": "c1", "price": 1.5} and read.subject == "c1"
    ), read
    print("read")
    listed = list_events.sync(client=client, subject="c1", limit=1, count=True)
    assert isinstance(listed, EventList) and listed.count and listed.data[0].id == accepted.id, listed
    print("listed")


def endpoint(client: AuthenticatedClient) -> None:
    """The whole life of an endpoint."""
    made = create_endpoint.sync(
        client=client, body=NewEndpoint(url="http://127.0.0.1:9/made", events=["cars.*"], rate=5.0)
    )
    assert isinstance(made, EndpointView) and made.rate == 5.0 and made.revision == 1, made
    print("registered")
    read = get_endpoint.sync(made.id, client=client)
    assert isinstance(read, EndpointView) and read == made, read
    cut = get_endpoint.sync(made.id, client=client, fields=[GetEndpointFieldsItem.URL])
    assert isinstance(cut, EndpointView) and cut.to_dict() == {"url": made.url}, cut
    listed = list_endpoints.sync(client=client, limit=1)
    assert isinstance(listed, EndpointList) and listed.data[0] == made and listed.next_cursor, listed
    more = list_endpoints.sync(client=client, limit=1, cursor=listed.next_cursor)
    assert isinstance(more, EndpointList) and more.data[0] != made, more
    patch = EndpointPatch(description="changed", rate=None)
    changed = edit_endpoint.sync(made.id, client=client, body=patch, if_match='"1"')
    assert isinstance(changed, EndpointView) and (changed.revision, changed.rate) == (2, None), changed
    print("changed")
    assert delete_endpoint.sync_detailed(made.id, client=client).status_code == 204
    gone = get_endpoint.sync(made.id, client=client)
    assert isinstance(gone, Problem) and gone.status == 404 and gone.code == "not_found", gone
    print("deleted")


def collections(client: AuthenticatedClient) -> None:
    """What is declared can be read."""
    listed = list_collections.sync(client=client, limit=1000)
    assert isinstance(listed, CollectionList) and "rooms" in [each.name for each in listed.data], listed
    rooms = get_collection.sync("rooms", client=client)
    assert isinstance(rooms, CollectionView) and rooms.fields["name"]["required"] is True, rooms
    print("declared")


def items(client: AuthenticatedClient) -> None:
    """The whole life of an item."""
    since = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
    made = rooms_create.sync(client=client, body=RoomsNew(name="Made, room", floor=77, rent=12.5, since=since))
    assert isinstance(made, RoomsItem) and (made.rent, made.since, made.revision) == (12.5, since, 1), made
    print("created")
    read = rooms_get.sync(made.id, client=client)
    assert isinstance(read, RoomsItem) and read == made, read
    by_rent = [RoomsListSortItem("-rent")]
    listed = rooms_list.sync(client=client, floor_gte=77, name_starts_with="Ma", sort=by_rent, limit=1, count=True)
    assert isinstance(listed, RoomsPage) and listed.data == [made] and listed.count == 1, listed
    # A value with a comma is one value.
    named = rooms_list.sync(client=client, name_in=["Made, room", "Doe"])
    assert isinstance(named, RoomsPage) and named.data == [made], named
    asked = rooms_ask_by_floor.sync(client=client, floor=77, kind=RoomsAskByFloorKind.FLAT)
    assert isinstance(asked, RoomsPage) and asked.data == [made], asked
    print("asked")
    changed = rooms_edit.sync(made.id, client=client, body=RoomsPatch(rent=None, tags=["new"]), if_match='"1"')
    assert isinstance(changed, RoomsItem) and (changed.revision, changed.rent) == (2, None), changed
    late = rooms_edit.sync(made.id, client=client, body=RoomsPatch(rent=1.0), if_match='"1"')
    assert isinstance(late, Problem) and late.status == 412, late
    print("edited")
    assert rooms_delete.sync_detailed(made.id, client=client, if_match='"2"').status_code == 204
    gone = rooms_get.sync(made.id, client=client)
    assert isinstance(gone, Problem) and gone.status == 404, gone
    print("forgotten")


def batch(client: AuthenticatedClient) -> None:
    """Many changes at once, all or none."""
    new = RoomsBatchCreate(op=RoomsBatchCreateOp.CREATE, id="made-1", data=RoomsNew(name="Batch", floor=78))
    edit = RoomsBatchEdit(op=RoomsBatchEditOp.EDIT, id="made-1", data=RoomsPatch(floor=79), revision=1)
    delete = RoomsBatchDelete(op=RoomsBatchDeleteOp.DELETE, id="made-1")
    done = rooms_batch.sync(client=client, body=RoomsBatch(operations=[new, edit, delete]))
    assert isinstance(done, RoomsResults) and [each.status for each in done.results] == [201, 200, 204], done
    assert isinstance(done.results[1].item, RoomsItem) and done.results[1].item.floor == 79, done
    assert done.results[2].item is None, done
    none = rooms_batch.sync(client=client, body=RoomsBatch(operations=[new, delete, delete]))
    assert isinstance(none, Problem) and none.status == 404 and none.errors[0].pointer == "/operations/2", none
    print("batched")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A program that uses the client which was made from the document: it is run where that client is, with URL and key.

It prints what it did, one word a step, and fails at the first step that goes otherwise.
"""

from __future__ import annotations

import sys

from tidings_made import AuthenticatedClient
from tidings_made.api.endpoints import create_endpoint, delete_endpoint, edit_endpoint, get_endpoint, list_endpoints
from tidings_made.api.events import get_event, list_events, publish_event
from tidings_made.models import (
    Accepted,
    EndpointList,
    EndpointPatch,
    EndpointView,
    EndpointViewPart,
    EventDetail,
    EventList,
    GetEndpointFieldsItem,
    NewEvent,
    NewEventData,
    NewForm,
    Problem,
)


def main(url: str, key: str) -> None:
    """Publish, read and list an event; register, read, list, change and delete an endpoint."""
    with AuthenticatedClient(base_url=url, token=key) as client:
        events(client)
        endpoint(client)


def events(client: AuthenticatedClient) -> None:
    """What happened can be read again as it was told."""
    data = NewEventData.from_dict({"id": "c1", "price": 1.5})
    accepted = publish_event.sync(client=client, body=NewEvent(type_="cars.sold", data=data, subject="c1"))
    assert isinstance(accepted, Accepted), accepted
    print("published")
    read = get_event.sync(accepted.id, client=client)
    assert isinstance(read, EventDetail) and read.data == {"id": "c1", "price": 1.5} and read.subject == "c1", read
    print("read")
    listed = list_events.sync(client=client, subject="c1", limit=1, count=True)
    assert isinstance(listed, EventList) and listed.count and listed.data[0].id == accepted.id, listed
    print("listed")


def endpoint(client: AuthenticatedClient) -> None:
    """The whole life of an endpoint."""
    made = create_endpoint.sync(client=client, body=NewForm(url="http://127.0.0.1:9/made", events=["cars.*"], rate=5.0))
    assert isinstance(made, EndpointView) and made.rate == 5.0 and made.revision == 1, made
    print("registered")
    read = get_endpoint.sync(made.id, client=client)
    assert isinstance(read, EndpointView) and read == made, read
    cut = get_endpoint.sync(made.id, client=client, fields=[GetEndpointFieldsItem.URL])
    assert isinstance(cut, EndpointViewPart) and cut.to_dict() == {"url": made.url}, cut
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


if __name__ == "__main__":
    main(*sys.argv[1:])

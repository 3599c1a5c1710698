"""A round trip with the client that OpenAPI Generator's `python` makes: it is run where that is, with URL and key."""

from __future__ import annotations

import sys

import made
from made.exceptions import ApiException


def main(url: str, key: str) -> None:
    """One word for each step that went as it should."""
    with made.ApiClient(made.Configuration(host=url, access_token=key)) as client:
        events, endpoints, rooms = made.EventsApi(client), made.EndpointsApi(client), made.RoomsApi(client)
        data = {"id": "c2", "price": 1234567.89}
        told = events.publish_event(made.NewEvent(type="cars.sold", data=data, subject="c2"))
        assert events.get_event(told.id).data == data
        print("published")
        endpoint = endpoints.create_endpoint(
            made.NewEndpoint(url="http://127.0.0.1:9/trip", events=["cars.*"], rate=2.5)
        )
        assert endpoint.rate == 2.5 and endpoints.list_endpoints(limit=1).data[0].id == endpoint.id
        print("registered")
        room = rooms.rooms_create(made.RoomsNew(name="Python, room", floor=41, rent=34567.89))
        assert (room.rent, room.kind, room.revision) == (34567.89, "flat", 1)
        print("created")
        listed = rooms.rooms_list(floor__gte=41, floor__in=[41, 42], name__starts_with="Py", sort=["-rent"], limit=5)
        assert [each.id for each in listed.data] == [room.id]
        # A value with a comma is one value.
        assert [each.id for each in rooms.rooms_list(name__in=["Python, room", "Doe"]).data] == [room.id]
        assert rooms.rooms_list(name__in=["Python", "room"]).data == []
        print("listed")
        assert rooms.rooms_get(room.id).name == "Python, room"
        assert rooms.rooms_edit(room.id, made.RoomsPatch(floor=43, rent=None)).floor == 43
        print("edited")
        for wrong, status in ((lambda: rooms.rooms_get("nothing"), 404), (lambda: twice(rooms, room), 422)):
            try:
                wrong()
            except ApiException as refused:
                assert refused.status == status and refused.data.code, refused
            else:
                raise AssertionError(f"not refused with {status}")
        print("refused")
        rooms.rooms_delete(room.id)
        print("deleted")


def twice(rooms: made.RoomsApi, room: made.RoomsItem) -> None:
    """A reference to nothing."""
    rooms.rooms_edit(room.id, made.RoomsPatch(beside="nothing"))


if __name__ == "__main__":
    main(*sys.argv[1:])

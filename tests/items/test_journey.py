"""One item from its creation to its end, and its events."""

from __future__ import annotations

from tidings.testing import Api


def test_an_item_is_created_edited_and_deleted_with_one_event_each(api: Api) -> None:
    made = api.call("POST", "/v1/items/tasks", {"title": "Water the plants"})
    path = made.headers["location"]
    assert made.status == 201 and made.headers["etag"] == '"1"' and made.json["done"] is False
    edited = api.patch(path, {"done": True})
    assert edited["revision"] == 2 and api.patch(path, {"done": True})["revision"] == 2
    assert api.get(path) == edited
    assert api.call("DELETE", path).status == 204 and api.call("GET", path).status == 404
    told = api.get("/v1/events", collection="tasks", subject=made.json["id"], sort="created")["data"]
    assert [event["type"] for event in told] == ["tasks.created", "tasks.completed", "tasks.deleted"]
    assert told[1]["data"] == edited and told[1]["previous"] == made.json and told[1]["changed"] == ["done"]
    assert told[1]["actor"] == "key_operator" and told[1]["request_id"].startswith("req_")


def test_all_errors_of_an_item_are_reported_together(api: Api) -> None:
    wrong = {"titel": "Walk the dog", "done": "no", "price": -1}
    told = api.call("POST", "/v1/items/tasks", wrong).json["errors"]
    assert {(place["pointer"], place["code"]) for place in told} == {
        ("/titel", "unknown_field"),
        ("/title", "missing"),
        ("/done", "wrong_type"),
        ("/price", "too_small"),
    }
    item = api.post("/v1/items/tasks", {"title": "Walk the dog"})
    told = api.call("PATCH", f"/v1/items/tasks/{item['id']}", wrong).json["errors"]
    assert [place["code"] for place in told] == ["unknown_field", "wrong_type", "too_small"]

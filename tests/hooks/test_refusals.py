"""Refused requests: kept with the reason in words, shown with what was expected, let in once the cause is corrected."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hooks.world import PUBLIC, SECRET, HookWorld, as_json
from tidings.testing import ApiError


def test_a_wrong_secret_is_explained(world: HookWorld) -> None:
    hook = world.hook("github", [f"{SECRET} "])
    answer = hook.send(hook.signed(secret=SECRET))
    assert answer.status == 401
    found = hook.refused()
    assert found["id"] in answer.body.decode()
    assert (found["state"], found["reason"], found["event_id"]) == ("refused", "no_match", None)
    assert "space" in found["explanation"]
    assert found["signed"] == found["text"] == '{"n":1}'


def test_a_changed_body_is_explained(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed(b'{"n":1}')
    hook.send(request.but(body=b'{"n": 1}\n'))
    found = hook.refused()
    assert "body" in found["explanation"]
    assert found["text"] == '{"n": 1}\n'


def test_a_wrong_url_is_explained(world: HookWorld) -> None:
    hook = world.hook("square")
    request = hook.signed(b'{"n":1}')
    elsewhere = hook.signed(b'{"n":1}', query="x=1")
    hook.send(elsewhere.but(url=hook.url))
    assert hook.refused()["reason"] == "no_match"
    direct = request.but(url=hook.url.replace("https:", "http:"))
    assert hook.send(direct).status == 200, "what counts is the public URL"
    found = hook.refused()
    assert found["signed"].startswith(hook.url)


def test_an_old_timestamp_is_explained_with_whether_it_was_genuine(world: HookWorld) -> None:
    hook = world.hook("stripe")
    hook.send(hook.signed(ago=3_600))
    found = hook.refused()
    assert found["reason"] == "too_old"
    assert "3,60" in found["detail"] and "genuine" in found["explanation"]
    hook.send(hook.signed(ago=-3_600))
    assert hook.refusals(2)[0]["reason"] == "too_new"


def test_a_missing_header_is_explained(world: HookWorld) -> None:
    hook = world.hook("github")
    request = hook.signed()
    del request.headers["x-hub-signature-256"]
    hook.send(request)
    found = hook.refused()
    assert found["reason"] == "missing_header" and "X-Hub-Signature-256" in found["detail"]
    assert "Check that the sender has a secret" in found["explanation"]
    assert found["detail"] not in found["explanation"], "it says more, and nothing twice"


def explained(world: HookWorld, refusal: dict[str, Any]) -> str:
    return str(world.api.get(f"/v1/receipts/{refusal['id']}")["explanation"])


@pytest.mark.slow
def test_a_signature_of_another_kind_is_explained(world: HookWorld) -> None:
    hook = world.hook("github")
    signed = hook.signed()
    sha1 = "sha1=" + "0" * 40
    other = {name: value for name, value in signed.headers.items() if name != "x-hub-signature-256"}
    hook.send(signed.but(headers={**other, "x-hub-signature": sha1}))
    assert "The request has X-Hub-Signature instead, as in the scheme github-sha1 or " in hook.refused()["explanation"]
    hook.send(signed.but(headers={**signed.headers, "x-hub-signature-256": sha1}))
    assert "begins with 'sha1='; this scheme expects 'sha256='" in explained(world, hook.refusals(2)[0])
    hook.send(signed.but(headers={**signed.headers, "x-hub-signature-256": "sha256=abc"}))
    assert "3 characters after 'sha256='" in explained(world, hook.refusals(3)[0])


def test_a_secret_that_is_simply_wrong_is_explained(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.send(hook.signed(secret="another"))
    found = hook.refused()
    assert found["explanation"].startswith("Copy the secret from the sender's settings again.")


@pytest.mark.parametrize("scheme", ["github", "stripe", "square", "hubspot-v1", "cloudinary"])
def test_the_secret_and_the_right_signature_are_never_shown(world: HookWorld, scheme: str) -> None:
    hook = world.hook(scheme)
    right = hook.signed()
    hook.send(hook.signed(secret="another"))
    (row,) = hook.refusals()
    whole = world.api.call("GET", f"/v1/receipts/{row['id']}").body.decode()
    assert SECRET not in whole
    for name, value in right.headers.items():
        if len(value) > 20 and ("signature" in name or "hmac" in name):
            assert value.strip("=").rpartition("=")[2] not in whole


@pytest.mark.slow
def test_a_refusal_is_let_in_once_the_secret_is_corrected(world: HookWorld) -> None:
    hook = world.hook("stripe")
    hook.send(hook.signed(as_json({"id": "evt_1", "type": "a.b"}), secret="the-new-one"))
    (row,) = hook.refusals()
    answer = world.api.call("POST", f"/v1/refusals/{row['id']}:retry")
    assert answer.status == 409 and "still refused" in answer.json["detail"]
    assert hook.events() == []
    # A day later its timestamp is still that of when it came.
    world.clock.advance(86_400)
    hook.edit(secrets=[SECRET, "the-new-one"])
    let_in = world.api.post(f"/v1/refusals/{row['id']}:retry")
    (event,) = hook.events()
    assert (let_in["state"], let_in["event_id"], let_in["reason"]) == ("accepted", event["id"], None)
    assert event["type"] == f"{hook.path}.a.b"
    assert world.api.pages("/v1/refusals", hook=hook.id) == []
    again = world.api.call("POST", f"/v1/refusals/{row['id']}:retry")
    assert again.status == 409 and "already" in again.json["detail"]


def test_a_refusal_received_again_in_the_meantime_is_not_let_in_twice(world: HookWorld) -> None:
    hook = world.hook("github", ["old"])
    request = hook.signed(headers={"X-GitHub-Delivery": "d-1"}, secret="new")
    hook.send(request)
    (row,) = hook.refusals()
    hook.edit(secrets=["new"])
    assert hook.send(request).status == 200
    with pytest.raises(ApiError, match="already"):
        world.api.post(f"/v1/refusals/{row['id']}:retry")
    assert len(hook.events()) == 1


def test_a_refusal_of_a_deleted_hook_is_not_let_in(world: HookWorld) -> None:
    hook = world.hook("github")
    hook.send(hook.signed(secret="wrong"))
    (row,) = hook.refusals()
    world.api.delete(f"/v1/hooks/{hook.id}")
    assert world.api.call("POST", f"/v1/refusals/{row['id']}:retry").status == 404
    assert "explanation" not in world.api.get(f"/v1/receipts/{row['id']}")


@pytest.mark.slow
def test_a_token_that_did_not_fit_is_let_in_once_it_does(world: HookWorld) -> None:
    hook = world.hook({"check": {"kind": "token", "from": "query:key"}})
    url = f"{PUBLIC}/in/{hook.path}?key=the-new-one&n=1"
    hook.send(hook.signed().but(url=url))
    (row,) = hook.refusals()
    assert row["target"] == f"/in/{hook.path}"
    assert "the-new-one" not in world.api.call("GET", f"/v1/receipts/{row['id']}").body.decode()
    hook.edit(secrets=["the-new-one"])
    world.api.post(f"/v1/refusals/{row['id']}:retry")
    assert len(hook.events()) == 1

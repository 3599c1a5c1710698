"""The questions that senders ask before they trust a URL."""

from __future__ import annotations

import hmac
import json

import pytest

from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HandshakeAnswer, HookRequest, Verifier, handshake, named, sign

NOW = 1_790_000_000.0
SECRET = "the secret"
URL = "https://example.com/in"
JSON = {"Content-Type": "application/json"}


def ask(name: str, request: HookRequest, secrets: str | list[str] = SECRET, **settings: str) -> HandshakeAnswer | None:
    return handshake(named(name), request, secrets, NOW, settings=settings)


def get(query: str = "", **headers: str) -> HookRequest:
    return HookRequest("GET", f"{URL}?{query}", {name.replace("_", "-"): value for name, value in headers.items()})


def post(value: object, **headers: str) -> HookRequest:
    head = {**JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return HookRequest("POST", URL, head, json.dumps(value).encode())


def test_meta_is_answered_if_the_verify_token_is_ours() -> None:
    asked = get("hub.mode=subscribe&hub.verify_token=tok%20en&hub.challenge=1158201444")
    answer = ask("meta", asked, verify_token="tok en")
    assert answer is not None
    assert (answer.status, answer.body, answer.refused) == (200, b"1158201444", None)
    for settings in ({"verify_token": "other"}, {}):
        refused = ask("meta", asked, **settings)
        assert refused is not None
        assert (refused.status, refused.body) == (403, b"")
        assert refused.refused is not None and "token" in refused.refused
        assert "tok en" not in refused.refused
    assert ask("meta", get("hub.mode=unsubscribe&hub.challenge=1"), verify_token="tok en") is None


def test_an_echo_is_never_a_page() -> None:
    for name, query in (("dropbox", "challenge"), ("onfleet", "check"), ("nylas", "challenge")):
        answer = ask(name, get(f"{query}=%3Cscript%3E"), "ab" * 16)
        assert answer is not None
        assert answer.body == b"<script>"
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_echo_is_bounded() -> None:
    assert ask("dropbox", get("challenge=" + "x" * 5_000)) is None


def test_xs_challenge_is_answered_with_the_published_hmac() -> None:
    answer = ask("x", get("crc_token=uzwcfYtzr9"), "Convoy")
    assert answer is not None
    assert json.loads(answer.body) == {"response_token": "sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}
    without = ask("x", get("crc_token=uzwcfYtzr9"), [])
    assert without is not None and without.status == 403


def test_signed_questions_are_answered_only_if_they_are_genuine() -> None:
    for name, body, said in (
        ("slack", {"type": "url_verification", "challenge": "3eZb"}, b"3eZb"),
        ("zoom", {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8"}}, None),
        ("twitch", {"challenge": "pogchamp"}, b"pogchamp"),
        ("xero", {"events": [], "lastEventSequence": 0, "entropy": "e"}, b""),
    ):
        headers = {"Twitch-Eventsub-Message-Type": "webhook_callback_verification"} if name == "twitch" else {}
        bare = post(body, **headers)
        answer = ask(name, sign(named(name), SECRET, bare, NOW))
        assert answer is not None and answer.status == 200
        if said is not None:
            assert answer.body == said
        else:
            mac = hmac.new(SECRET.encode(), b"qgg8", "sha256").hexdigest()
            assert json.loads(answer.body) == {"plainToken": "qgg8", "encryptedToken": mac}
        assert ask(name, bare) is None
        assert ask(name, sign(named(name), "wrong", bare, NOW)) is None
    xero = named("xero")
    assert (xero.accepted, xero.refused) == (schemes.HookReply(status=200), schemes.HookReply(status=401))


def test_discords_ping_is_answered_with_a_pong() -> None:
    scheme, public = named("discord"), keys.public_pem(keys.ed_key())
    ping = sign(scheme, keys.pem(keys.ed_key()), post({"type": 1}), NOW)
    answer = handshake(scheme, ping, public, NOW)
    assert answer is not None
    assert json.loads(answer.body) == {"type": 1}
    event = sign(scheme, keys.pem(keys.ed_key()), post({"type": 0}), NOW)
    assert (handshake(scheme, event, public, NOW) or answer).status == 204
    assert handshake(scheme, sign(scheme, keys.pem(keys.ed_key()), post({"type": 2}), NOW), public, NOW) is None
    assert scheme.refused == schemes.HookReply(status=401)


def test_graph_okta_trello_and_cloudevents_come_unsigned() -> None:
    graph = ask("microsoft-graph", HookRequest("POST", f"{URL}?validationToken=a%20b%26c", {}, b""))
    assert graph is not None and graph.body == b"a b&c"
    okta = ask("okta", get(**{"X-Okta-Verification-Challenge": "abc"}))
    assert okta is not None and json.loads(okta.body) == {"verification": "abc"}
    for name in ("trello", "intercom", "mandrill"):
        head = ask(name, HookRequest("HEAD", URL))
        assert head is not None and (head.status, head.body) == (200, b"")
    options = HookRequest("OPTIONS", URL, {"WebHook-Request-Origin": "eventemitter.example.com"})
    cloud = ask("cloudevents", options)
    assert cloud is not None
    assert cloud.headers == {
        "WebHook-Allowed-Origin": "eventemitter.example.com",
        "WebHook-Allowed-Rate": "*",
        "Allow": "POST",
    }


def test_a_value_for_a_header_cannot_end_it() -> None:
    answer = ask("cloudevents", HookRequest("OPTIONS", URL, {"WebHook-Request-Origin": "a\r\nSet-Cookie: x"}))
    assert answer is not None
    assert answer.headers["WebHook-Allowed-Origin"] == "aSet-Cookie: x"


def test_a_secret_that_is_handed_over_is_kept_once() -> None:
    for name, first in (
        ("asana", HookRequest("POST", URL, {"X-Hook-Secret": "b537"}, b"")),
        ("notion", post({"verification_token": "b537"})),
    ):
        answer = ask(name, first, [])
        assert answer is not None
        assert (answer.status, answer.store_secret) == (200, "b537")
        if name == "asana":
            assert answer.headers == {"X-Hook-Secret": "b537"}
        again = ask(name, first, ["b537"])
        assert again is not None
        assert (again.status, again.store_secret) == (200, None)
        # Anybody can send this; it must not take the place of the secret that is there.
        stolen = ask(name, first, ["another"])
        assert stolen is not None
        assert (stolen.status, stolen.store_secret, stolen.headers) == (403, None, {})


TOPIC = {"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}


def test_sns_is_confirmed_by_fetching_a_url_of_aws_once_it_is_genuine() -> None:
    scheme = named("aws-sns")
    private, public = keys.pem(keys.rsa_key()), keys.public_pem(keys.rsa_key())
    value = json.loads(schemes.sample(scheme).body) | {"Type": "SubscriptionConfirmation", "Token": "t"}
    good = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    for url, fetch in ((good, good), ("https://evil.example/", None), ("http://sns.us-west-2.amazonaws.com/", None)):
        request = sign(scheme, private, post({**value, "SubscribeURL": url}), NOW, settings=TOPIC)
        answer = handshake(scheme, request, public, NOW, settings=TOPIC)
        assert answer is not None
        assert answer.fetch == fetch
        assert (answer.status == 200) is (fetch is not None)
        changed = request.but(body=request.body.replace(b"Hello", b"Hallo"))
        assert handshake(scheme, changed, public, NOW, settings=TOPIC) is None
    notice = sign(scheme, private, schemes.sample(scheme), NOW, settings=TOPIC)
    assert handshake(scheme, notice, public, NOW, settings=TOPIC) is None


def test_the_notice_that_an_sns_subscription_has_ended_does_not_subscribe_again() -> None:
    scheme = named("aws-sns")
    private, public = keys.pem(keys.rsa_key()), keys.public_pem(keys.rsa_key())
    url = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    ended = {"Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": url}
    request = sign(scheme, private, post(json.loads(schemes.sample(scheme).body) | ended), NOW, settings=TOPIC)
    verifier = Verifier(scheme, public, settings=TOPIC)
    assert verifier.verify(request, NOW).ok
    assert schemes.before(verifier, request) is None
    assert schemes.after(verifier, request) is None


def test_woocommerces_ping_comes_unsigned_and_is_no_event() -> None:
    ping = HookRequest("POST", URL, {"Content-Type": "application/x-www-form-urlencoded"}, b"webhook_id=7")
    answer = ask("woocommerce", ping)
    assert answer is not None and (answer.status, answer.body) == (200, b"")
    forged = post({"id": 727, "webhook_id": 7})
    assert ask("woocommerce", forged) is None
    assert not Verifier(named("woocommerce"), SECRET).verify(forged, NOW).ok


def test_event_grid_is_answered_its_code() -> None:
    body = [{"id": "1", "eventType": "x", "data": {"validationCode": "512d"}}]
    asked = post(body, **{"aeg-event-type": "SubscriptionValidation"}).but(url=f"{URL}?secret=the%20secret")
    answer = ask("azure-event-grid", asked)
    assert answer is not None and json.loads(answer.body) == {"validationResponse": "512d"}
    assert ask("azure-event-grid", asked.but(url=f"{URL}?secret=wrong")) is None


def test_websub_is_answered_for_the_topic_that_was_subscribed() -> None:
    asked = get("hub.mode=subscribe&hub.topic=https%3A%2F%2Fa.example%2Ffeed&hub.challenge=c&hub.lease_seconds=9")
    answer = ask("websub", asked, topic="https://a.example/feed")
    assert answer is not None and answer.body == b"c"
    other = ask("websub", asked, topic="https://a.example/other")
    assert other is not None and other.status == 403


def test_the_fixed_answers_are_filled() -> None:
    for name, text in (("adyen", b"[accepted]"), ("dropbox-sign", b"Hello API Event Received")):
        accepted = named(name).accepted
        assert accepted is not None
        assert schemes.fill(accepted, HookRequest())[::2] == (200, text)


def test_an_ordinary_request_is_no_handshake() -> None:
    for scheme in schemes.schemes():
        private, public = keys.pair(scheme)
        chosen = keys.settings(scheme)
        request = sign(scheme, private, schemes.sample(scheme), NOW, settings=chosen)
        verifier = Verifier(scheme, public, settings=chosen)
        assert schemes.before(verifier, request) is None
        assert schemes.after(verifier, request) is None


def test_a_handshake_of_ones_own_is_declared_and_checked() -> None:
    own = {
        "check": {"kind": "token", "from": "header:X-Token"},
        "handshakes": [
            {
                "name": "mine",
                "when": {"method": ["PUT"], "present": ["header:X-Ask"]},
                "reply": {"text": "{header:X-Ask}!"},
            }
        ],
    }
    answer = handshake(schemes.read(own), HookRequest("PUT", URL, {"X-Ask": "hi"}), "s", NOW)
    assert answer is not None and answer.body == b"hi!"
    for wrong, at in (
        ({"name": "all", "when": {}}, "/handshakes/0/when"),
        ({"name": "f", "when": {"method": ["GET"]}, "fetch": "json:u"}, "/handshakes/0/hosts"),
        ({"name": "t", "when": {"method": ["GET"]}, "reply": {"text": "{nothing}"}}, "/handshakes/0/reply/text"),
        ({"name": "t", "when": {"method": ["GET"]}, "reply": {"text": "", "json": {}}}, "/handshakes/0/reply/json"),
        ({"name": "t", "when": {"method": ["GET"], "extra": 1}}, "/handshakes/0/when/extra"),
    ):
        with pytest.raises(Refused) as caught:
            schemes.read({**own, "handshakes": [wrong]})
        assert caught.value.pointer == at

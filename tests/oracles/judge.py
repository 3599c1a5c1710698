"""The senders' own Python packages as a program: a request as a line of JSON in, a verdict or a signature out.

Run in its own environment (requirements.lock), so that none of it is installed beside Tidings. A line has `do`
(`verify` or `sign`), `scheme`, `secret`, `method`, `url`, `headers`, `body` in base64 and `settings`. The answer is
`{"ok": bool}`, for `sign` what is added to the request (`{"headers": {}}`, perhaps a new `url` or `body`), or `error`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus


class Request:
    """What a package is shown; headers by lower-case names."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.secret: str = given["secret"]
        self.method: str = given["method"]
        self.url: str = given["url"]
        self.headers: dict[str, str] = given["headers"]
        self.body = base64.b64decode(given["body"])
        self.settings: dict[str, str] = given.get("settings", {})

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.text, keep_blank_values=True))

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


def passes(call: Callable[[], object]) -> bool:
    """Whether a package that raises for what is not genuine lets it pass."""
    try:
        return call() is not False
    except Exception:
        return False


HASHES = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""The hashes by the length of their hex digits, for senders that let their customers choose."""


def now() -> str:
    return str(int(time.time()))


# --- verifying --------------------------------------------------------------------------------------------------------


def adyen(r: Request) -> bool:
    util = import_module("Adyen.util")
    items = json.loads(r.text)["notificationItems"]
    return all(util.is_valid_hmac_notification(item["NotificationRequestItem"], r.secret) for item in items)


def adyen_banking(r: Request) -> bool:
    return bool(import_module("Adyen.util").is_valid_hmac_payload(r.header("HmacSignature"), r.secret, r.body))


def box(r: Request) -> bool:
    manager = import_module("box_sdk_gen.managers.webhooks").WebhooksManager
    return bool(manager.validate_message(r.text, r.headers, r.secret))


def cloudinary(r: Request) -> bool:
    package, utils = import_module("cloudinary"), import_module("cloudinary.utils")
    package.config(api_secret=r.secret)
    at, signature = r.header("X-Cld-Timestamp"), r.header("X-Cld-Signature")
    return bool(utils.verify_notification_signature(r.text, int(at), signature, algorithm=HASHES[len(signature)]))


def coinbase(r: Request) -> bool:
    webhook = import_module("coinbase_commerce.webhook").WebhookSignature
    return passes(lambda: webhook.verify_sig_header(r.text, r.header("X-CC-Webhook-Signature"), r.secret))


def cronofy(r: Request) -> bool:
    client = import_module("pycronofy").Client(client_id="x", client_secret=r.secret)
    return bool(client.hmac_valid(r.header("Cronofy-HMAC-SHA256"), r.text))


def dropbox_sign(r: Request) -> bool:
    package = import_module("dropbox_sign")
    value = json.loads(r.form["json"])
    event = package.EventCallbackRequest.init(value)
    return bool(package.EventCallbackHelper.is_valid(r.secret, event))


def easypost(r: Request) -> bool:
    util = import_module("easypost.util")
    return passes(lambda: util.validate_webhook(r.body, {"X-Hmac-Signature": r.header("X-Hmac-Signature")}, r.secret))


def elevenlabs(r: Request) -> bool:
    webhooks = import_module("elevenlabs.webhooks_custom").WebhooksClient
    client = webhooks(client_wrapper=None)
    return passes(lambda: client.construct_event(r.text, r.header("elevenlabs-signature"), r.secret))


def finch(r: Request) -> bool:
    client = import_module("finch").Finch(access_token="x")
    return passes(lambda: client.webhooks.verify_signature(r.text, r.headers, secret=r.secret))


def gocardless(r: Request) -> bool:
    return passes(
        lambda: import_module("gocardless_pro.webhooks").parse(r.body, r.secret, r.header("Webhook-Signature"))
    )


def google_pubsub(r: Request) -> bool:
    id_token = import_module("google.oauth2.id_token")
    # The secret is the JWK set that would be fetched.
    answer = type("Answer", (), {"status": 200, "data": r.secret.encode(), "headers": {}})
    token = r.header("Authorization").removeprefix("Bearer ")
    try:
        claims = id_token.verify_token(token, lambda *_, **__: answer, audience=r.settings["audience"])
    except Exception:
        return False
    return claims["email"] == r.settings["service_account"] and claims["email_verified"] is True


def livekit(r: Request) -> bool:
    api = import_module("livekit.api")
    receiver = api.WebhookReceiver(api.TokenVerifier(r.settings["api_key"], r.secret))
    return passes(lambda: receiver.receive(r.text, r.header("Authorization")))


def messagebird(r: Request) -> bool:
    validator = import_module("messagebird.request_validator").RequestValidator(r.secret)
    return passes(lambda: validator.validate_signature(r.header("MessageBird-Signature-JWT"), r.url, r.body))


def modern_treasury(r: Request) -> bool:
    client = import_module("modern_treasury").ModernTreasury(organization_id="x", api_key="x")
    return bool(client.webhooks.validate_signature(r.text, r.headers, key=r.secret))


def onfido(r: Request) -> bool:
    verifier = import_module("onfido.webhook_event_verifier")
    try:
        verifier.WebhookEventVerifier(r.secret).read_payload(r.text, r.header("X-SHA2-Signature"))
    except verifier.OnfidoInvalidSignatureError:
        return False
    except ValueError:
        # The signature fits; it does not know the event of our sample.
        return True
    return True


def orb(r: Request) -> bool:
    client = import_module("orb").Orb(api_key="x")
    return passes(lambda: client.webhooks.verify_signature(r.text, r.headers, secret=r.secret))


def paddle(r: Request) -> bool:
    notifications = import_module("paddle_billing.Notifications")
    request = type("Request", (), {"body": r.body, "headers": {"Paddle-Signature": r.header("Paddle-Signature")}})
    secret = import_module("paddle_billing.Notifications.Secret").Secret(r.secret)
    # Its own 5 s are too short for its first import on a busy machine.
    return passes(lambda: notifications.Verifier(30).verify(request, secret))


def plivo(r: Request) -> bool:
    utils = import_module("plivo.utils")
    nonce, signature = r.header("X-Plivo-Signature-V2-Nonce"), r.header("X-Plivo-Signature-V2")
    return bool(utils.validate_signature(r.url, nonce, signature, r.secret))


def pusher(r: Request) -> bool:
    client = import_module("pusher").Pusher(app_id="1", key=r.header("X-Pusher-Key"), secret=r.secret)
    # It also wants the body's own time to be recent, which is not part of the signature.
    body = json.loads(r.text)
    assert "time_ms" in body
    return client.validate_webhook(r.header("X-Pusher-Key"), r.header("X-Pusher-Signature"), r.text) is not None


def razorpay(r: Request) -> bool:
    client = import_module("razorpay").Client(auth=("x", "y"))
    check = client.utility.verify_webhook_signature
    return passes(lambda: check(r.text, r.header("X-Razorpay-Signature"), r.secret))


def sendgrid(r: Request) -> bool:
    event = import_module("sendgrid.helpers.eventwebhook").EventWebhook(r.secret)
    name = "X-Twilio-Email-Event-Webhook-"
    return passes(lambda: event.verify_signature(r.text, r.header(name + "Signature"), r.header(name + "Timestamp")))


def sinch(r: Request) -> bool:
    check = import_module("sinch.domains.authentication.sinch_events.v1.authentication_validation")
    return bool(check.validate_signature_header(r.secret, r.headers, r.text))


def sinch_events(r: Request) -> bool:
    check = import_module("sinch.domains.authentication.sinch_events.v1.authentication_validation")
    return bool(check.validate_sinch_event_signature_with_nonce(r.secret, r.headers, r.text))


def slack(r: Request) -> bool:
    verifier = import_module("slack_sdk.signature").SignatureVerifier(r.secret)
    return bool(verifier.is_valid(r.body, r.header("X-Slack-Request-Timestamp"), r.header("X-Slack-Signature")))


def smartcar(r: Request) -> bool:
    return bool(import_module("smartcar.smartcar").verify_payload(r.secret, r.header("SC-Signature"), r.text))


def square(r: Request) -> bool:
    helper = import_module("square.utils.webhooks_helper")
    return bool(
        helper.verify_signature(
            request_body=r.text,
            signature_header=r.header("x-square-hmacsha256-signature"),
            signature_key=r.secret,
            notification_url=r.url,
        )
    )


def standard_webhooks(r: Request) -> bool:
    both = [
        passes(lambda: import_module("standardwebhooks").Webhook(r.secret).verify(r.body, r.headers)),
        passes(lambda: import_module("svix.webhooks").Webhook(r.secret).verify(r.body, r.headers)),
    ]
    assert both[0] == both[1]
    return both[0]


def stream(r: Request) -> bool:
    return bool(import_module("stream_chat.webhook").verify_signature(r.body, r.header("X-Signature"), r.secret))


def stripe(r: Request) -> bool:
    check = import_module("stripe").WebhookSignature.verify_header
    return passes(lambda: check(r.text, r.header("Stripe-Signature"), r.secret, tolerance=300))


def telnyx(r: Request) -> bool:
    check = import_module("telnyx.lib.webhook_verification").verify_webhook_signature
    return passes(lambda: check(r.body, r.headers, r.secret) or True)


def twilio(r: Request) -> bool:
    validator = import_module("twilio.request_validator").RequestValidator(r.secret)
    kind = r.header("Content-Type")
    body: Any = r.form if "urlencoded" in kind else r.text
    return bool(validator.validate(r.url, body, r.header("X-Twilio-Signature")))


def upstash(r: Request) -> bool:
    receiver = import_module("qstash").Receiver(current_signing_key="another", next_signing_key=r.secret)
    return passes(lambda: receiver.verify(signature=r.header("Upstash-Signature"), body=r.text, url=r.settings["url"]))


def vonage(r: Request) -> bool:
    # It checks the signature; its documents say that `payload_hash` is the SHA-256 of the body.
    token = r.header("Authorization").removeprefix("Bearer ")
    if not passes(lambda: import_module("vonage_jwt").verify_signature(token, r.secret)):
        return False
    claims = import_module("jwt").decode(token, r.secret, algorithms=["HS256"])
    return bool(claims["payload_hash"] == hashlib.sha256(r.body).hexdigest())


def vonage_sms(r: Request) -> bool:
    auth = import_module("vonage_http_client.auth").Auth
    fields = dict(parse_qsl(r.url.partition("?")[2]))
    method = HASHES[len(fields["sig"])]
    checker = auth(api_key="x", api_secret="y", signature_secret=r.secret, signature_method=method)
    return bool(checker.check_signature(fields))


def workos(r: Request) -> bool:
    check = import_module("workos.webhooks._verification").verify_header
    return passes(lambda: check(event_body=r.body, event_signature=r.header("WorkOS-Signature"), secret=r.secret))


VERIFY: dict[str, Callable[[Request], bool]] = {
    "adyen": adyen,
    "adyen-banking": adyen_banking,
    "box": box,
    "cloudinary": cloudinary,
    "coinbase-commerce": coinbase,
    "cronofy": cronofy,
    "dropbox-sign": dropbox_sign,
    "easypost": easypost,
    "elevenlabs": elevenlabs,
    "finch": finch,
    "gocardless": gocardless,
    "google-pubsub": google_pubsub,
    "livekit": livekit,
    "messagebird": messagebird,
    "modern-treasury": modern_treasury,
    "onfido": onfido,
    "orb": orb,
    "paddle": paddle,
    "plivo": plivo,
    "pusher": pusher,
    "razorpay": razorpay,
    "sendgrid": sendgrid,
    "sinch": sinch,
    "sinch-events": sinch_events,
    "slack": slack,
    "smartcar": smartcar,
    "square": square,
    "standard-webhooks": standard_webhooks,
    "stream": stream,
    "stripe": stripe,
    "telnyx": telnyx,
    "twilio": twilio,
    "upstash": upstash,
    "vonage": vonage,
    "vonage-sms": vonage_sms,
    "workos": workos,
}


# --- signing ----------------------------------------------------------------------------------------------------------


def adyen_signs(r: Request) -> dict[str, Any]:
    value = json.loads(r.text)
    for each in value["notificationItems"]:
        item = each["NotificationRequestItem"]
        signature = import_module("Adyen.util").generate_notification_sig(item, r.secret).decode()
        item["additionalData"] = {"hmacSignature": signature}
    return {"headers": {}, "body": json.dumps(value)}


def adyen_banking_signs(r: Request) -> dict[str, Any]:
    signature = import_module("Adyen.util").generate_payload_sig(r.body, r.secret).decode()
    return {"headers": {"HmacSignature": signature}}


def box_signs(r: Request) -> dict[str, Any]:
    utils = import_module("box_sdk_gen.internal.utils")
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    headers = {"box-delivery-timestamp": at, "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}
    signature = utils.compute_webhook_signature(r.text, headers, r.secret, escape_body=True)
    return {"headers": {**headers, "box-signature-primary": signature}}


def cloudinary_signs(r: Request) -> dict[str, Any]:
    at = now()
    signature = import_module("cloudinary.utils").compute_hex_hash(f"{r.text}{at}{r.secret}", "sha256")
    return {"headers": {"X-Cld-Timestamp": at, "X-Cld-Signature": signature}}


def livekit_signs(r: Request) -> dict[str, Any]:
    token = import_module("livekit.api").AccessToken(r.settings["api_key"], r.secret)
    hashed = base64.b64encode(hashlib.sha256(r.body).digest()).decode()
    return {"headers": {"Authorization": token.with_sha256(hashed).to_jwt()}}


def modern_treasury_signs(r: Request) -> dict[str, Any]:
    client = import_module("modern_treasury").ModernTreasury(organization_id="x", api_key="x")
    return {"headers": {"X-Signature": client.webhooks.get_signature(r.text, key=r.secret)}}


def paddle_signs(r: Request) -> dict[str, Any]:
    signature, at = import_module("paddle_billing.Notifications.PaddleSignature").PaddleSignature, now()
    mac = signature.calculate_hmac(r.secret, f"{at}:{r.text}".encode()).hexdigest()
    return {"headers": {"Paddle-Signature": f"ts={at};h1={mac}"}}


def sinch_signs(r: Request) -> dict[str, Any]:
    check = import_module("sinch.domains.authentication.sinch_events.v1.authentication_validation")
    return {"headers": {"X-Sinch-Signature": check.compute_hmac_signature(r.text, r.secret)}}


def slack_signs(r: Request) -> dict[str, Any]:
    at = now()
    signature = (
        import_module("slack_sdk.signature").SignatureVerifier(r.secret).generate_signature(timestamp=at, body=r.body)
    )
    return {"headers": {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}}


def standard_webhooks_signs(r: Request) -> dict[str, Any]:
    from datetime import UTC, datetime

    at = datetime.now(UTC)
    signature = import_module("svix.webhooks").Webhook(r.secret).sign("msg_1", at, r.text)
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {"headers": dict(zip(names, ("msg_1", str(int(at.timestamp())), signature), strict=True))}


def smartcar_signs(r: Request) -> dict[str, Any]:
    return {"headers": {"SC-Signature": import_module("smartcar").hash_challenge(r.secret, r.text)}}


def stripe_signs(r: Request) -> dict[str, Any]:
    at = now()
    mac = import_module("stripe").WebhookSignature._compute_signature(f"{at}.{r.text}", r.secret)
    return {"headers": {"Stripe-Signature": f"t={at},v1={mac},v0=00"}}


def twilio_signs(r: Request) -> dict[str, Any]:
    validator = import_module("twilio.request_validator").RequestValidator(r.secret)
    return {"headers": {"X-Twilio-Signature": validator.compute_signature(r.url, r.form)}}


def vonage_sms_signs(r: Request) -> dict[str, Any]:
    auth = import_module("vonage_http_client.auth").Auth
    signer = auth(api_key="x", api_secret="y", signature_secret=r.secret, signature_method="sha256")
    base, _, query = r.url.partition("?")
    fields = {**dict(parse_qsl(query)), "timestamp": now()}
    signature = signer.sign_params(fields)
    text = "&".join(f"{name}={quote(unquote_plus(value))}" for name, value in fields.items())
    return {"headers": {}, "url": f"{base}?{text}&sig={signature}"}


SIGN: dict[str, Callable[[Request], dict[str, Any]]] = {
    "adyen": adyen_signs,
    "adyen-banking": adyen_banking_signs,
    "box": box_signs,
    "cloudinary": cloudinary_signs,
    "livekit": livekit_signs,
    "modern-treasury": modern_treasury_signs,
    "paddle": paddle_signs,
    "sinch": sinch_signs,
    "slack": slack_signs,
    "smartcar": smartcar_signs,
    "standard-webhooks": standard_webhooks_signs,
    "stripe": stripe_signs,
    "twilio": twilio_signs,
    "vonage-sms": vonage_sms_signs,
}


def answered(line: str) -> dict[str, Any]:
    given = json.loads(line)
    request = Request(given)
    if given["do"] == "sign":
        return SIGN[given["scheme"]](request)
    return {"ok": VERIFY[given["scheme"]](request)}


def main() -> None:
    for line in sys.stdin:
        try:
            with redirect_stdout(io.StringIO()):
                answer = answered(line)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

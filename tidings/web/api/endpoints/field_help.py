"""What the fields of bodies mean, in the document and in docs/reference, where a field's name does not say it."""

from __future__ import annotations

_ENDPOINT = {
    "url": "Where the webhooks go: http or https, without a user name. Private addresses are refused by default.",
    "description": "Text for people.",
    "events": "Event types, or patterns such as `orders.*` and `*`; by default all types.",
    "filter": "A pattern that `data` and the other members of an event must match; by default, every event matches.",
    "headers": "Extra headers of each POST. Their values are encrypted at rest and never shown again.",
    "rate": "The maximum number of POSTs per second; unlimited by default.",
    "max_in_flight": "The maximum number of concurrent POSTs. It starts at 16, and each success allows one more.",
    "order": "`subject`: events of one subject are sent one at a time, in order; `all`: all events are; `none`: no "
    "order.",
    "order_max_age_seconds": "How long a failing event may hold up the events behind it.",
    "batch": "Send several events in one POST.",
    "body": "`standard`, `cloudevents`, `thin` (only that something happened) or `bare` (the data alone).",
    "fields": "Paths into `data`, to send only these parts; by default, everything is sent.",
    "svix_headers": "Also send `svix-id`, `svix-timestamp` and `svix-signature`, for receivers that use Svix's "
    "libraries.",
    "timeout_seconds": "The time limit of one attempt, including the response.",
    "retry_delays_seconds": "The delay before each attempt, including the first; by default, the usual schedule "
    "of ten attempts.",
    "give_up_on": "Statuses, or classes such as `4xx`, after which a delivery is dead at once.",
    "ca": "The only certificate authorities to trust, as PEM; by default, the public ones.",
    "client_certificate": "The certificate to present if the endpoint asks for one (mTLS).",
}
_BATCH = {
    "max_events": "The maximum number of events in one POST.",
    "max_ms": "How long an event may wait for others to be sent with it.",
    "max_bytes": "The maximum length of the body. A longer event is sent alone.",
}
_CERTIFICATE = {"certificate": "The certificate and its chain, as PEM.", "key": "Its private key, as PEM."}

FIELD_HELP: dict[str, dict[str, str]] = {
    "NewEndpoint": _ENDPOINT
    | {
        "tenant": 'The tenant whose events it gets; `"*"` for all tenants (operators only).',
        "secret": "Your own signing secret, `whsec_...` or `whsk_...`; by default one is generated.",
    },
    "EndpointPatch": _ENDPOINT,
    "Batch": _BATCH,
    "BatchPatch": _BATCH,
    "ClientCertificate": _CERTIFICATE,
    "ClientCertificatePatch": _CERTIFICATE,
}
"""By component and field, in Markdown. A field that is a separate component (`$ref`) is left unchanged."""

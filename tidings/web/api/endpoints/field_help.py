"""What the fields of bodies mean, if their names are not enough; shown in the document and in docs/reference."""

from __future__ import annotations

_ENDPOINT = {
    "url": "The URL to send the webhooks to: http or https, without a user name. Private addresses are refused by "
    "default.",
    "description": "A description for people.",
    "events": "The event types to send, or patterns such as `orders.*` or `*`. The default is all types.",
    "filter": "Send only events that match this pattern of `data` and other members. By default, every event matches.",
    "headers": "Extra headers for each POST. Their values are encrypted at rest and never shown again.",
    "rate": "The maximum number of POSTs per second; unlimited by default.",
    "max_in_flight": "The maximum number of concurrent POSTs. The actual limit starts at 16, and each success "
    "raises it by one, up to this maximum.",
    "order": "`subject`: events with the same subject are sent one at a time, in order; `all`: all events are sent "
    "one at a time, in order; `none`: events are sent in any order.",
    "order_max_age_seconds": "How long a failing event may hold up the events behind it.",
    "batch": "Send several events in one POST.",
    "body": "The format of the body: `standard`, `cloudevents`, `thin` (without the event's data) or `bare` "
    "(only the data).",
    "fields": "Paths into `data`: only these parts are sent. By default, everything is sent.",
    "svix_headers": "Also send `svix-id`, `svix-timestamp` and `svix-signature`, for receivers that use Svix's "
    "libraries.",
    "timeout_seconds": "The time limit for one attempt, up to the end of the response.",
    "retry_delays_seconds": "The delay before each attempt, including the first. The default is the standard "
    "schedule of ten attempts.",
    "give_up_on": "Statuses, or classes of statuses such as `4xx`, that make a delivery dead at once, without "
    "another attempt.",
    "ca": "The certificate authorities to trust instead of the public ones, in PEM format.",
    "client_certificate": "The certificate to present if the endpoint asks for one (mTLS).",
}
_BATCH = {
    "max_events": "The maximum number of events in one POST.",
    "max_ms": "How long an event may wait, in milliseconds, for others to join the same POST.",
    "max_bytes": "The maximum size of the body, in bytes. A single event that exceeds this size is sent alone.",
}
_CERTIFICATE = {
    "certificate": "The certificate and its chain, in PEM format.",
    "key": "The certificate's private key, in PEM format.",
}

FIELD_HELP: dict[str, dict[str, str]] = {
    "NewEndpoint": _ENDPOINT
    | {
        "tenant": 'The tenant whose events the endpoint gets; `"*"` for all tenants (operators only).',
        "secret": "Your own signing secret, `whsec_...` or `whsk_...`. By default, a secret is generated.",
    },
    "EndpointPatch": _ENDPOINT,
    "Batch": _BATCH,
    "BatchPatch": _BATCH,
    "ClientCertificate": _CERTIFICATE,
    "ClientCertificatePatch": _CERTIFICATE,
}
"""The help of each field, in Markdown, by component and field. Fields that refer to another component (`$ref`) have
no help here."""

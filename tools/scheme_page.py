"""The page of signature schemes in docs/reference, made from the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tidings.rules import schemes
from tidings.rules.schemes.describe import place_in_words
from tidings.rules.schemes.signing.examples import EXAMPLE_SECRET

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]

SIGNED_AT = 1_790_000_000
EVIDENCE = {
    "vectors": "published test vectors",
    "documentation": "the sender's documentation",
    "code": "the sender's own code",
    "second_hand": "third-party code only (**unconfirmed**)",
}
FAMILIES = {
    "clouds": "Clouds and identity",
    "code": "Code and operations",
    "generic": "Standards and general forms",
    "messages": "Messages and calls",
    "payments": "Payments",
    "work": "Shops, documents and forms",
}


def lines(table: Table) -> Iterator[str]:
    """The page without its title."""
    found = schemes.schemes()
    unconfirmed = sum(one.unconfirmed for one in found)
    yield f"{len(found)} signature schemes can be used by name. {unconfirmed} of these schemes are unconfirmed: they"
    yield "come from third-party code, so check them before you rely on them. You can describe your own scheme in the"
    yield "same form."
    yield ""
    yield "You can test other implementations with the samples below. They are signed for `https://example.com/in` at"
    yield f"{SIGNED_AT} (seconds since 1970), with the secret `{EXAMPLE_SECRET}`, which is written in base64 or"
    yield "hex if the scheme requires that. If a scheme signs with a key pair or a certificate, its sample shows only"
    yield "the form: the signature is a placeholder."
    yield ""
    for family, title in FAMILIES.items():
        yield f"* {title}: " + ", ".join(f"[{name}](#{name})" for name in sorted(schemes.families()[family]))
    yield from ("", "Possible results of a check:", "")
    yield table(("reason", "meaning"), [(f"`{reason}`", words) for reason, words in schemes.MEANINGS.items()])
    yield from ("", "Challenges that senders issue before they use a URL:", "")
    rows = [(f"`{one.name}`", one.help, _when(one), f"[source]({one.source})") for one in schemes.handshakes().values()]
    yield table(("handshake", "what it does", "when", "source"), rows)
    for family, title in FAMILIES.items():
        yield from ("", f"## {title}")
        for name in sorted(schemes.families()[family]):
            yield from _section(schemes.named(name))


def _when(handshake: schemes.Handshake) -> str:
    return f"{handshake.verify} verification"


def _section(scheme: schemes.Scheme) -> Iterator[str]:
    yield from ("", f"### {scheme.name}", "", f"**{scheme.title}.** {scheme.help}".rstrip(), "")
    yield f"* Checks {schemes.checks_in_words(scheme)}"
    for words in (schemes.replays_in_words(scheme), schemes.body_in_words(scheme)):
        if words:
            yield f"* {words}"
    yield f"* Secret: {scheme.secret_help}"
    for name, setting in scheme.settings.items():
        yield f"* Setting `{name}`{'' if setting.required else ' (optional)'}: {setting.help}"
    if scheme.aliases:
        yield "* Also known as " + ", ".join(f"`{name}`" for name in scheme.aliases) + "."
    if scheme.handshakes:
        names = [one if isinstance(one, str) else one.name for one in scheme.handshakes]
        yield "* Handshakes: " + ", ".join(f"`{name}`" for name in names) + "."
    for what, place in (("Delivery id", scheme.delivery_id), ("Event type", scheme.event_type)):
        if place:
            yield f"* {what}: {place_in_words(place)}."
    yield f"* Source: {EVIDENCE[scheme.evidence]}, <{scheme.source}>"
    yield from ("", "```http", *_sample(scheme), "```")


def _sample(scheme: schemes.Scheme) -> list[str]:
    request = schemes.sample(scheme)
    secret = schemes.example_secret(scheme)
    if secret:
        filled = {name: one.default or name for name, one in scheme.settings.items()}
        request = schemes.sign(scheme, secret, request, SIGNED_AT, settings=filled)
    head = [f"{request.method} {request.url.removeprefix('https://example.com')} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    return [*head, "", request.body.decode()] if request.body else head

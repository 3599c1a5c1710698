"""What the CRM and the books of hourly_contacts say if they speak SOAP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from tidings.testing import Reaction, Received

ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
CRM, BOOKS = "{urn:crm}", "{urn:books}"
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


def listing(request: Received) -> tuple[str, int]:
    """What is asked for: contacts changed since a time, and how many of them to leave out."""
    asked = _operation(request)
    return asked.findtext(f"{CRM}since") or "", int(asked.findtext(f"{CRM}after") or 0)


def listed(contacts: Iterable[dict[str, Any]], more: bool) -> Reaction:
    """A page of contacts."""
    rows = "".join(
        f"<contact id={quoteattr(each['id'])}><name>{escape(each['name'])}</name><email>{escape(each['email'])}</email>"
        f"<deleted>{str(each['deleted']).lower()}</deleted><changed>{each['changed']}</changed></contact>"
        for each in contacts
    )
    return _reaction(
        f'<ListResponse xmlns="urn:crm"><contacts>{rows}</contacts><more>{str(more).lower()}</more></ListResponse>'
    )


def customer(request: Received) -> tuple[str, str, bool]:
    """The key and the name of a customer, and whether it is to be closed."""
    (asked,) = _operation(request)
    return asked.attrib["key"], asked.findtext(f"{BOOKS}name") or "", asked.attrib["closed"] == "true"


def put() -> Reaction:
    """The customer is stored."""
    return _reaction('<PutResponse xmlns="urn:books"/>')


def _operation(request: Received) -> ElementTree.Element:
    return ElementTree.fromstring(request.body)[0][0]


def _reaction(inner: str) -> Reaction:
    return Reaction(status=200, body=ENVELOPE.format(inner).encode(), headers=HEADERS)

"""A tenant's person in front of the portal, without a browser: pages are asked for as its script asks for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tidings.testing import Api, ApiReply

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Fields = Sequence[tuple[str, str]]


def new_link(api: Api, tenant: str, **options: Any) -> tuple[str, str]:
    """A new link: its id and its token."""
    link = api.post(f"/v1/tenants/{tenant}/portal-links", options)
    return link["id"], link["url"].partition("#")[2]


class Customer:
    """Somebody with a link. Paths are below `/portal/ptl_...`."""

    def __init__(self, api: Api, tenant: str, **options: Any) -> None:
        self.id, self.token = new_link(api, tenant, **options)
        self.api = api.with_key(None)
        self.session = ""

    def open(self) -> Customer:
        """Exchange the token for a session."""
        reply = self.exchange(self.token)
        assert reply.status == 201, reply.body
        self.session = reply.json["session"]
        return self

    def exchange(self, token: str) -> ApiReply:
        """Try to."""
        return self.api.call("POST", f"/portal/{self.id}/@/session", {"token": token})

    def call(self, path: str = "", fields: Fields | None = None, link: str = "") -> ApiReply:
        """What goes inside the frame, or an action, whatever the answer."""
        headers = {"HX-Request": "true", "Authorization": f"Bearer {self.session}"} if self.session else {}
        headers = {"HX-Request": "true", **headers}
        where = f"/portal/{link or self.id}{path}"
        if fields is None:
            return self.api.call("GET", where, None, headers)
        return self.api.call("POST", where, urlencode(fields).encode(), {**headers, **FORM})

    def page(self, path: str = "") -> str:
        """A page's text."""
        reply = self.call(path)
        assert reply.status == 200, (reply.status, reply.body)
        return text_of(reply)

    def act(self, path: str, **fields: str) -> str:
        """The text of what follows from an action."""
        reply = self.call(path, list(fields.items()))
        assert reply.status == 200, (reply.status, reply.body)
        return text_of(reply)


def text_of(reply: ApiReply) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", reply.body.decode()))

"""Copying from one server with Svix's API to another, object by object. Run again, it changes only what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from tidings.client import Client
from tidings.client.exchange import ClientRequest

Json = dict[str, Any]

PAGE = 250
EVENT_TYPES, APPLICATIONS, ENDPOINTS = "event types", "applications", "endpoints"
_OF_TYPES = ("description", "archived", "deprecated", "schemas", "featureFlag", "featureFlags", "groupName")
_OF_ENDPOINTS = ("url", "description", "disabled", "metadata", "channels", "eventTypes", "throttleRate")
_OLD_NAMES = {"filterTypes": "eventTypes", "rateLimit": "throttleRate"}
"""Old names of members, from earlier versions of Svix, with the current ones."""


class Refusal(Exception):
    """A server refused a call; the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class SvixServer:
    """One server with Svix's API."""

    def __init__(self, client: Client, prefix: str = "") -> None:
        self._client, self._prefix = client, f"{prefix}/api/v1"

    def call(self, method: str, *steps: str, body: Any = None, **query: Any) -> Any:
        """The response to a call. Raises Refusal, or ClientError if there is none."""
        path = "".join(f"/{quote(step, safe='')}" for step in steps)
        reply = self._client.exchange(ClientRequest(method, self._prefix + path, query, body))
        try:
            value = json.loads(reply.body) if reply.body else None
        except ValueError:
            value = None
        if reply.status < 300:
            return value
        raise Refusal(reply.status, _why(reply.status, value))

    def find(self, *steps: str) -> Json | None:
        """What is at a path; None if there is nothing."""
        try:
            found: Json = self.call("GET", *steps)
        except Refusal as wrong:
            if wrong.status == 404:
                return None
            raise
        return found

    def list(self, *steps: str, **query: Any) -> Iterator[Json]:
        """Everything in a list, page by page."""
        iterator = None
        while True:
            page = self.call("GET", *steps, limit=PAGE, iterator=iterator, **query)
            yield from page["data"]
            iterator = page.get("iterator")
            if page["done"] or iterator is None:
                return


class Copier:
    """One run. `counts`: the number of objects by kind and result; `lost`: sentences about what was not copied."""

    def __init__(self, source: SvixServer, target: SvixServer, *, dry_run: bool) -> None:
        self._source, self._target, self._dry_run = source, target, dry_run
        self.counts: dict[str, dict[str, int]] = {
            kind: dict.fromkeys(("created", "changed", "unchanged", "failed"), 0)
            for kind in (EVENT_TYPES, APPLICATIONS, ENDPOINTS)
        }
        self.lost: list[str] = []
        self._whose = ""
        """The id, on the target server, of the application whose endpoints are being copied."""

    @property
    def failed(self) -> bool:
        """Whether something could not be copied at all."""
        return any(counts["failed"] for counts in self.counts.values())

    def run(self) -> None:
        """Copy everything. Raises ClientError if a server does not answer, ValueError if it is not a Svix server."""
        try:
            for kind in self._source.list("event-type", include_archived="true", with_content="true"):
                self._try(EVENT_TYPES, f"event type {kind['name']}", partial(self._event_type, kind))
            for app in self._source.list("app", order="ascending"):
                self._application(app)
        except Refusal as wrong:
            raise ValueError(f"The Svix server refused a call: {wrong}") from None
        except (KeyError, TypeError, AttributeError):
            raise ValueError("The URL passed with --from is not that of a Svix server.") from None

    def _try(self, kind: str, name: str, copy: Callable[[], str]) -> bool:
        """Copy one object, and count the result. Returns False if it was refused."""
        try:
            self.counts[kind][copy()] += 1
        except Refusal as wrong:
            self.counts[kind]["failed"] += 1
            self.lost.append(f"{name}: {wrong}")
            return False
        return True

    def _write(self, method: str, *steps: str, body: Json) -> None:
        if not self._dry_run:
            self._target.call(method, *steps, body=body)

    # --- event types --------------------------------------------------------------------------------------------------

    def _event_type(self, kind: Json) -> str:
        wanted = {name: kind[name] for name in _OF_TYPES if kind.get(name)}
        there = self._target.find("event-type", kind["name"])
        if there is None:
            self._write("POST", "event-type", body={"name": kind["name"], "description": "", **wanted})
            return "created"
        if wanted == {name: there[name] for name in _OF_TYPES if there.get(name)}:
            return "unchanged"
        self._write("PUT", "event-type", kind["name"], body={"description": "", **wanted})
        return "changed"

    # --- applications -------------------------------------------------------------------------------------------------

    def _application(self, app: Json) -> None:
        name = f"application {app.get('uid') or app['id']}"
        if not self._try(APPLICATIONS, name, partial(self._copied_application, app)):
            if skipped := sum(1 for _ in self._source.list("app", app["id"], "endpoint", order="ascending")):
                self.counts[ENDPOINTS]["failed"] += skipped
                self.lost.append(f"endpoints of {name}: all {skipped}, as the application was not copied")
            return
        if app.get("throttleRate") or app.get("rateLimit"):
            self.lost.append(f"{name}: its rate, since only endpoints have a rate in Tidings")
        for endpoint in self._source.list("app", app["id"], "endpoint", order="ascending"):
            about = f"endpoint {endpoint.get('uid') or endpoint['id']} of {name}"
            self._try(ENDPOINTS, about, partial(self._endpoint, app, endpoint, about))

    def _copied_application(self, app: Json) -> str:
        ident, uid = app["id"], app.get("uid")
        wanted = {"name": app["name"] or ident, "metadata": app.get("metadata") or {}, "uid": uid}
        there, names = self._there(ident, uid, "app")
        if there is None:
            # Created under its id at Svix, which becomes its id here too if it is valid.
            self._write("POST", "app", body={**wanted, "uid": ident})
            self._write("PATCH", "app", ident, body={"uid": uid, "formerId": ident})
            self._whose = ident
            return "created"
        self._whose = there["id"]
        differs = {name: value for name, value in wanted.items() if there.get(name) != value} | names
        if differs:
            self._write("PATCH", "app", there["id"], body=differs)
        return "changed" if differs else "unchanged"

    def _there(self, ident: str, uid: str | None, *steps: str) -> tuple[Json | None, Json]:
        """The counterpart here of an object at Svix, and what to change so that its id and its uid find it too."""
        by_id = self._target.find(*steps, ident)
        there = by_id if by_id is not None or uid is None else self._target.find(*steps, uid)
        if there is None or (by_id is not None and there.get("uid") == uid):
            return there, {}
        return there, {"uid": uid, "formerId": ident}

    # --- endpoints ----------------------------------------------------------------------------------------------------

    def _endpoint(self, app: Json, endpoint: Json, about: str) -> str:
        ident, uid, steps = endpoint["id"], endpoint.get("uid"), ("app", self._whose, "endpoint")
        given = {_OLD_NAMES.get(name, name): value for name, value in endpoint.items()}
        wanted = {name: given[name] for name in _OF_ENDPOINTS if given.get(name)}
        there, names = self._there(ident, uid, *steps)
        secret = self._source.call("GET", "app", app["id"], "endpoint", ident, "secret")["key"]
        found = self._source.find("app", app["id"], "endpoint", ident, "headers") or {}
        headers, hidden = dict(found.get("headers") or {}), found.get("sensitive") or ()
        if there is None:
            body = {**wanted, "uid": uid, "formerId": ident, "secret": secret, "headers": headers}
            self._write("POST", *steps, body=body)
            self._lose(about, hidden)
            return "created"
        one = (*steps, there["id"])
        differs = {name: wanted.get(name) for name in _OF_ENDPOINTS if _plain(wanted, name) != _plain(there, name)}
        differs |= names
        if differs:
            self._write("PATCH", *one, body={**differs, **_blank(differs)})
        has_secret = self._target.call("GET", *one, "secret")["key"] == _whole(secret)
        if not has_secret:
            # The previous secret also signs, for as long as it would at Svix.
            self._write("POST", *one, "secret", "rotate", body={"key": secret})
        known = {name.lower() for name in self._target.call("GET", *one, "headers")["sensitive"]}
        fresh = {name: value for name, value in headers.items() if name.lower() not in known}
        self._lose(about, [name for name in hidden if name.lower() not in known])
        if fresh:
            self._write("PATCH", *one, "headers", body={"headers": fresh})
        return "changed" if differs or fresh or not has_secret else "unchanged"

    def _lose(self, about: str, hidden: Iterable[str]) -> None:
        """Report headers that the endpoint here lacks."""
        if names := sorted(hidden):
            self.lost.append(f"{about}: the values of its headers {', '.join(names)}, which Svix does not show")


def _plain(endpoint: Json, name: str) -> Any:
    """A member in a comparable form: lists are sorted, and empty values are None."""
    value = endpoint.get(name)
    return sorted(value) if isinstance(value, list) else value or None


def _blank(differs: Json) -> Json:
    """The empty values of members that a patch must clear."""
    empty: Json = {"description": "", "disabled": False, "metadata": {}}
    return {name: empty[name] for name, value in differs.items() if value is None and name in empty}


def _whole(secret: str) -> str:
    return secret if secret.startswith(("whsec_", "whsk_")) else f"whsec_{secret}"


def _why(status: int, value: Any) -> str:
    """Why a call was refused, in words."""
    detail = value.get("detail") if isinstance(value, dict) else None
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(each['loc'])}: {each['msg']}" for each in detail)
    return str(detail) if detail else f"status {status}"

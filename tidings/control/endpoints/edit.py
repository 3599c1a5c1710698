"""Changes of an endpoint: create, edit, delete, pause, resume, rotate the secret, test.

Every change is a write job that reads the endpoint as the transaction sees it, so that two edits at once lose nothing,
and the caller that sent the older revision gets 412.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tidings.control.endpoints import body, tls
from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.model.calls.trial import Tried
from tidings.model.errors import Conflict, Invalid, NotFound, Place, Unavailable
from tidings.model.event import Event
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS, Endpoint, Mode, Secret
from tidings.model.moment import SECOND, Clock
from tidings.net.names import Names
from tidings.net.reply import CANNOT_USE
from tidings.rules.merge_patch import merged
from tidings.rules.network import address
from tidings.rules.reading.refused import Refused
from tidings.rules.revisions import check_revision
from tidings.rules.schemes import standard as sign
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.log import feed
from tidings.store.log.events import Publication, append

RESOLVE_SECONDS = 2.0
SECRET_BYTES = 32
OVERLAP_SECONDS = 24 * 3600
OVERLAP_SECONDS_MAX = 7 * 24 * 3600
REASON_CHARS_MAX = 500
TEST_TYPE = "endpoint.test"

Job = Callable[[Db], Endpoint]
Also = Callable[[Endpoint], Endpoint]
"""Further changes to an endpoint, which our own API does not offer, but the door for another system's callers does."""
Post = Callable[[Endpoint, Event], Awaitable[Tried]]
"""Sends an event to an endpoint, which may be one that is not stored. Raises Unavailable."""

log = logging.getLogger("tidings.control")


class EndpointEdits:
    """Makes and changes endpoints. Its methods return write jobs; some wait for a name server first."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        networks: address.Networks,
        names: Names,
        *,
        allow_http: bool = True,
        most_per_tenant: int = 0,
        proxied: bool = False,
        random_bytes: Callable[[int], bytes] = os.urandom,
        post: Post | None = None,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._networks = networks
        self._allow_http = allow_http
        self._most_per_tenant = most_per_tenant
        self._names, self._proxied = names, proxied
        self._random_bytes = random_bytes
        self._post = post

    async def create(
        self, form: NewEndpoint, *, operator: bool = False, caller: str | None = None, also: Also | None = None
    ) -> Job:
        """Check everything, including the address. Returns the job that stores it. Raises Invalid; the job raises
        Conflict.

        `operator`: the caller may make an endpoint that gets every tenant's events. `caller`: the calling tenant.
        """
        await self._check_new(form, operator, caller)
        text = form.secret or sign.new_secret(self._random_bytes(SECRET_BYTES))

        def store(db: Db) -> Endpoint:
            self._check_number(db, form.tenant)
            endpoint = self._made(form, text, self._catalog.next_number(db), feed.head(db))
            endpoint = endpoint if also is None else also(endpoint)
            self._catalog.put_link(db, endpoint)
            return endpoint

        return store

    async def try_out(self, form: NewEndpoint, *, operator: bool = False, caller: str | None = None) -> Tried:
        """Send a test event to an endpoint that is not stored. Raises Invalid as `create` does, or Unavailable."""
        await self._check_new(form, operator, caller)
        if self._post is None:
            raise Unavailable("This server does not send anything.")
        endpoint = self._made(form, form.secret or sign.new_secret(self._random_bytes(SECRET_BYTES)), 0, 0)
        return await self._post(endpoint, self._test_event(endpoint))

    async def _check_new(self, form: NewEndpoint, operator: bool, caller: str | None) -> None:
        body.check(form, self._allow_http, self._networks, self._clock.now())
        body.check_tenant(form.tenant, operator=operator)
        if form.secret is not None:
            sign.check_secret(form.secret, "/secret")
        await self._check_address(form.url, caller)

    def _made(self, form: NewEndpoint, secret: str, num: int, after: int) -> Endpoint:
        now = self._clock.now()
        return Endpoint(
            num=num,
            id=new_id("ep", now),
            tenant=form.tenant,
            **body.parts_of(form, (Secret(text=secret, created=now),)),
            created=now,
            updated=now,
            after=after,
        )

    def _check_number(self, db: Db, tenant: str | None) -> None:
        """Raise Conflict if the tenant has the maximum number of endpoints. The operator's own are not limited."""
        if not self._most_per_tenant or tenant in (None, ALL_TENANTS):
            return
        row = db.one("endpoints_of_tenant", tenant=tenant)
        if row is not None and row[0] >= self._most_per_tenant:
            raise Conflict(
                f"{tenant} has {row[0]:,} endpoints, which is the maximum for one tenant. Delete one, or ask the "
                "operator to raise `max_endpoints_per_tenant`.",
                code="too_many_endpoints",
            )

    async def edit(
        self,
        endpoint: Endpoint,
        patch: dict[str, Any],
        read: Callable[[Any], EndpointBody],
        expected: set[int] | None,
        *,
        caller: str | None = None,
        also: Also | None = None,
    ) -> Job:
        """Apply a merge patch. `read` turns the merged document into a body and raises Invalid if it cannot.

        `expected`: the revisions that the caller would overwrite; None for any. `caller`: the calling tenant. Raises
        Invalid; the job raises Stale.
        """

        def merge(present: Endpoint) -> EndpointBody:
            document = merged(body.form_of(present), patch)
            tls.check_whole(document, patch)
            form = read(document)
            body.check(form, self._allow_http, self._networks, self._clock.now(), present)
            return form

        form = merge(endpoint)
        if form.url != endpoint.what.url:
            await self._check_address(form.url, caller)

        def change(present: Endpoint) -> Endpoint:
            form = merge(present)
            changed = msgspec.structs.replace(present, **body.parts_of(form, present.what.sealed.secrets, present))
            return changed if also is None else also(changed)

        return self._changing(endpoint, change, expected)

    def delete(self, endpoint: Endpoint, expected: set[int] | None = None) -> Job:
        """Mark it deleted. From then on its waiting deliveries count as cancelled; `Cancelling` stores that."""

        def change(present: Endpoint) -> Endpoint:
            return msgspec.structs.replace(
                present, deleted=self._clock.now(), mode="paused", reason="The endpoint was deleted."
            )

        return self._changing(endpoint, change, expected)

    def pause(self, endpoint: Endpoint, reason: str | None, expected: set[int] | None = None) -> Job:
        """Send nothing until it is resumed; deliveries wait in the meantime.

        Raises Invalid; the job raises Conflict.
        """
        if reason is not None and len(reason) > REASON_CHARS_MAX:
            raise Refused("/reason", "too_long", f"A reason may have at most {REASON_CHARS_MAX} characters.")

        def change(present: Endpoint) -> Endpoint:
            if present.mode == "disabled":
                raise Conflict(f"The endpoint is already disabled: {present.reason} Resume it to send again.")
            return msgspec.structs.replace(present, mode="paused", reason=reason or "Paused by hand.")

        return self._changing(endpoint, change, expected)

    def resume(self, endpoint: Endpoint, expected: set[int] | None = None) -> Job:
        """Send again, even if it was disabled."""
        mode: Mode = "enabled"

        def change(present: Endpoint) -> Endpoint:
            return msgspec.structs.replace(present, mode=mode, reason=None)

        return self._changing(endpoint, change, expected)

    def rotate(
        self,
        endpoint: Endpoint,
        secret: str | None,
        overlap_seconds: int | None,
        expected: set[int] | None = None,
    ) -> Job:
        """Sign with a new secret; the previous one is also used for `overlap_seconds`. Raises Invalid.

        The new one is of the same kind (HMAC or ed25519) as the present one, unless the caller provides one.
        """
        overlap = OVERLAP_SECONDS if overlap_seconds is None else overlap_seconds
        if not 0 <= overlap <= OVERLAP_SECONDS_MAX:
            detail = f"overlap_seconds must be from 0 to {OVERLAP_SECONDS_MAX:,} (7 days), not {overlap:,}."
            raise Refused("/overlap_seconds", "out_of_range", detail)
        if secret is not None:
            sign.check_secret(secret, "/secret")

        def change(present: Endpoint) -> Endpoint:
            now = self._clock.now()
            kept = valid_secrets(present, now)
            if secret is not None and secret in [known.text for known in kept]:
                raise Refused(
                    "/secret",
                    "unchanged",
                    "This secret is already in use. Send a different one, or leave it out to have one generated.",
                )
            until = now + overlap * SECOND
            older = [
                msgspec.structs.replace(known, expires=until if known.expires is None else min(known.expires, until))
                for known in kept
                if overlap
            ]
            make = sign.new_signing_key if kept[0].text.startswith(sign.SIGNING_KEY) else sign.new_secret
            text = secret or make(self._random_bytes(SECRET_BYTES))
            secrets = (Secret(text=text, created=now), *older)
            sealed = msgspec.structs.replace(present.what.sealed, secrets=secrets)
            return msgspec.structs.replace(present, what=msgspec.structs.replace(present.what, sealed=sealed))

        return self._changing(endpoint, change, expected)

    def test(
        self, endpoint: Endpoint, request_id: str | None = None, example: tuple[str, str] | None = None
    ) -> Callable[[Db], Event]:
        """Publish an event that goes to this endpoint only, of type `endpoint.test` or an example. The job raises
        Conflict.
        """

        def publish(db: Db) -> Event:
            present = self._present(db, endpoint)
            if present.mode != "enabled":
                raise Conflict(
                    f"The endpoint is {present.mode}: {present.reason} Resume it first; otherwise, the test event "
                    "would only wait."
                )
            event = self._test_event(present, request_id)
            if example is not None:
                event = msgspec.structs.replace(event, type=example[0], data=example[1], subject=None)
            append(db, [Publication((event,))], event.time)
            return event

        return publish

    def _test_event(self, endpoint: Endpoint, request_id: str | None = None) -> Event:
        now = self._clock.now()
        data = {
            "endpoint_id": endpoint.id,
            "message": "This is a test. Your endpoint works if it responds with a 2xx status.",
        }
        return Event(
            id=new_id("evt", now),
            type=TEST_TYPE,
            time=now,
            tenant=None if endpoint.tenant == ALL_TENANTS else endpoint.tenant,
            subject=endpoint.id,
            data=msgspec.json.encode(data).decode(),
            target=endpoint.num,
            request_id=request_id,
        )

    def _changing(self, endpoint: Endpoint, change: Callable[[Endpoint], Endpoint], expected: set[int] | None) -> Job:
        def store(db: Db) -> Endpoint:
            present = self._present(db, endpoint)
            check_revision(expected, present.revision)
            changed = change(present)
            if changed == present:
                return present
            changed = msgspec.structs.replace(changed, revision=present.revision + 1, updated=self._clock.now())
            self._catalog.put_link(db, changed)
            return changed

        return store

    def _present(self, db: Db, endpoint: Endpoint) -> Endpoint:
        present = self._catalog.link(db, endpoint.num)
        if present is None or present.deleted is not None:
            raise NotFound(f"There is no endpoint {endpoint.id}.")
        return present

    async def _check_address(self, url: str, caller: str | None) -> None:
        """Raise Invalid if the URL's host name resolves only to addresses that would be refused.

        A tenant gets the same sentence if the name does not exist; otherwise it could list the names of the internal
        network. If no name server answers, the URL is accepted: each attempt checks the address it connects to. So is
        a name that does not exist here, if a proxy looks names up.
        """
        target = address.target_of(url)
        if target.name is None or target.local:
            return
        found = await self._names.find(target.name, caller, RESOLVE_SECONDS)
        if found is None or found.problem not in (None, "unknown"):
            return
        refusals = [address.refusal(each, self._networks) for each in found.addresses]
        if not all(refusals) or (not refusals and (caller is None or self._proxied)):
            return
        if caller is not None:
            log.info("tenant %s may not use %s: %s", caller, target.host, refusals[0] if refusals else "no such name")
            place = Place(pointer="/url", code="refused_address", detail=CANNOT_USE)
        else:
            detail = f"{target.host} resolves only to addresses that this server refuses to call. {refusals[0]}"
            place = body.address_refused(detail)
        raise Invalid(place.detail, errors=[place])


def valid_secrets(endpoint: Endpoint, now: int) -> list[Secret]:
    """The secrets that sign now, newest first."""
    return [secret for secret in endpoint.what.sealed.secrets if secret.expires is None or secret.expires > now]

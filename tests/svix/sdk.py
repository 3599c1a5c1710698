"""Svix's SDK, loaded once a test uses it: its hundreds of files take a third of a second in each process of a run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svix.api import ApplicationIn as ApplicationIn
    from svix.api import ApplicationListOptions as ApplicationListOptions
    from svix.api import EndpointIn as EndpointIn
    from svix.api import EndpointListOptions as EndpointListOptions
    from svix.api import EventTypeIn as EventTypeIn
    from svix.api import MessageIn as MessageIn
    from svix.api import MessageListOptions as MessageListOptions
    from svix.api import Svix as Svix
    from svix.api import SvixOptions as SvixOptions
    from svix.api.event_type import EventTypeDeleteOptions as EventTypeDeleteOptions
    from svix.api.event_type import EventTypeListOptions as EventTypeListOptions
    from svix.api.message import MessageGetOptions as MessageGetOptions
    from svix.api.message_attempt import (
        MessageAttemptListAttemptedMessagesOptions as MessageAttemptListAttemptedMessagesOptions,
    )
    from svix.api.message_attempt import MessageAttemptListByEndpointOptions as MessageAttemptListByEndpointOptions
    from svix.exceptions import HttpError as HttpError
    from svix.exceptions import HTTPValidationError as HTTPValidationError
    from svix.models import ApplicationPatch as ApplicationPatch
    from svix.models import ApplicationTokenExpireIn as ApplicationTokenExpireIn
    from svix.models import AppPortalAccessIn as AppPortalAccessIn
    from svix.models import EndpointHeadersIn as EndpointHeadersIn
    from svix.models import EndpointHeadersPatchIn as EndpointHeadersPatchIn
    from svix.models import EndpointPatch as EndpointPatch
    from svix.models import EndpointSecretRotateIn as EndpointSecretRotateIn
    from svix.models import EndpointUpsertIn as EndpointUpsertIn
    from svix.models import EventExampleIn as EventExampleIn
    from svix.models import EventTypePatch as EventTypePatch
    from svix.models import EventTypeUpsertIn as EventTypeUpsertIn
    from svix.models import Ordering as Ordering
    from svix.models import RecoverIn as RecoverIn
    from svix.webhooks import Webhook as Webhook
    from svix.webhooks import WebhookVerificationError as WebhookVerificationError

HOMES = (
    "svix.api",
    "svix.models",
    "svix.api.event_type",
    "svix.api.message",
    "svix.api.message_attempt",
    "svix.exceptions",
)
"""Where its names are, besides `svix` itself, in the order in which they are looked for."""


def __getattr__(name: str) -> Any:
    # While it collects, pytest asks every object for attributes of its own.
    for home in map(import_module, ("svix", *HOMES)) if name[0].isupper() else ():
        if hasattr(home, name):
            return getattr(home, name)
    raise AttributeError(f"Svix's SDK has no {name}")

"""Actions: what is done with a link's deliveries, by the link's kind.

A new action is one file in this folder and one line in `ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidings.deliver.actions.action import Action, Tools
from tidings.deliver.actions.call import CallAction
from tidings.deliver.actions.item import ItemAction
from tidings.deliver.actions.webhook import WebhookAction

ACTIONS: Mapping[str, Callable[[Any, Tools], Action]] = {
    "endpoint": WebhookAction,
    "item": ItemAction,
    "call": CallAction,
}
"""By the kind of the link (`KINDS` in model/link.py). An action is made for a link as it is, and again after edits."""

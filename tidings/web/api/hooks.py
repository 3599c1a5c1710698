"""The operations on hooks: URLs that receive other systems' webhooks."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.hooks.body import HookBody, NewHook
from tidings.control.hooks.declared import HooksPlan, WantedHooks
from tidings.model.hook import Hook, Method, Repeats
from tidings.rules.network.origin import public_url
from tidings.views.hooks import HookView, hook_view
from tidings.web.habits.edits import created, merged, shown, unless_known
from tidings.web.habits.given import agree
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Hooks"
EXAMPLE: dict[str, Any] = {"path": "github", "scheme": "github", "secrets": ["It's a Secret to Everybody"]}


class HookPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch: omitted members keep their values, and null resets a member to its default.

    `secrets` replaces all secrets of the hook.
    """

    path: str | msgspec.UnsetType = msgspec.UNSET
    scheme: str | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    secrets: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    settings: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    type: str | msgspec.UnsetType | None = msgspec.UNSET
    subject: str | msgspec.UnsetType | None = msgspec.UNSET
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    data: str | dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    methods: tuple[Method, ...] | msgspec.UnsetType | None = msgspec.UNSET
    tolerance_seconds: float | msgspec.UnsetType | None = msgspec.UNSET
    max_bytes: int | msgspec.UnsetType | None = msgspec.UNSET
    repeats: Repeats | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType | None = msgspec.UNSET
    accepted: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    repeated: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    refused: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class HookList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of hooks."""

    data: list[HookView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class HooksApplied(WantedHooks, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of hooks to apply. `plan`: the name of an earlier plan; apply only if the plan is still the same."""

    plan: str | None = None


class HooksToPlan(WantedHooks, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of hooks, by names of your choice. `prune`: also delete hooks without a tenant that are not declared
    here.
    """


SORTS: dict[str, SortKey] = {"path": lambda hook: hook.options.path, "created": lambda hook: hook.created}


async def list_hooks(parts: Parts, request: Request) -> Answer:
    """Hooks, by path by default."""
    hooks = parts.hooks.visible(request.caller, request.query.get("tenant"))
    page = SortedPage(request, hooks, SORTS, lambda hook: hook.id)
    return page.answer([_view(parts, hook) for hook in page.shown])


async def create_hook(parts: Parts, request: Request) -> Answer:
    """Declare a hook."""

    def answer(hook: Hook) -> Answer:
        return created(_view(parts, hook), hook.revision, f"/v1/hooks/{hook.id}")

    return await parts.hooks.create(request.caller, request.body, run_once(parts, request, answer))


async def get_hook(parts: Parts, request: Request) -> Answer:
    """Read one hook."""
    hook = parts.hooks.find(request.caller, request.path["id"])
    return unless_known(request, _view(parts, hook), hook.revision)


async def edit_hook(parts: Parts, request: Request) -> Answer:
    """Change a hook; takes effect with the next request."""
    before = parts.hooks.find(request.caller, request.path["id"], "hooks:write")
    agree(request, _view(parts, before))
    document: dict[str, Any] = msgspec.to_builtins(before.options) | {"secrets": list(before.secrets)}
    expected = if_match(request)
    body = merged(document, request, HookBody)
    # The patch was merged into what was read: a change in between is noticed.
    hook = await parts.hooks.edit(
        request.caller, before.id, {before.revision} if expected is None else expected, body, parts.writer.call
    )
    return _shown(parts, hook)


async def delete_hook(parts: Parts, request: Request) -> Answer:
    """Delete a hook."""
    await parts.hooks.delete(request.caller, request.path["id"], if_match(request), parts.writer.call)
    return Answer(204)


async def plan_hooks(parts: Parts, request: Request) -> Answer:
    """What these declarations would change; nothing is changed."""
    return Answer(200, await parts.declared_hooks.plan(request.caller, request.body))


async def apply_hooks(parts: Parts, request: Request) -> Answer:
    """Make hooks match these declarations, all or none."""
    run = run_once(parts, request, lambda shown: Answer(200, shown))
    return await parts.declared_hooks.apply(request.caller, request.body, run, plan_name=request.body.plan)


def _view(parts: Parts, hook: Hook) -> HookView:
    public = public_url(parts.settings.public_url)
    return hook_view(hook, public.whole if public else "")


def _shown(parts: Parts, hook: Hook) -> Answer:
    return shown(_view(parts, hook), hook.revision)


NOUN = Noun(name="hook", path="/v1/hooks/{id}", tag=TAG, view=HookView)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(
        list_hooks,
        HookList,
        SORTS,
        summary="List hooks",
        parameters=(Parameter(name="tenant", schema={"type": "string"}, help="Return only hooks of this tenant."),),
    ),
    NOUN.creates(
        create_hook,
        summary="Declare a hook: a URL for another system's webhooks",
        help="Requests to `/in/` followed by the hook's path are verified with the hook's scheme and kept, and "
        "become events. `GET /v1/schemes` lists the available schemes and what each of them checks.",
        request=NewHook,
        example=EXAMPLE,
    ),
    NOUN.reads(get_hook, summary="Read a hook"),
    NOUN.edits(
        edit_hook,
        summary="Change a hook",
        help="`secrets` replaces all secrets of the hook: while a sender is rotating its secret, send both the "
        "new and the old one.",
        request=HookPatch,
        example={"secrets": ["the new one", "the old one"]},
    ),
    NOUN.deletes(
        delete_hook,
        summary="Delete a hook",
        help="The hook's URL then returns 404. The hook's events and receipts are kept.",
    ),
    NOUN.does_to_all(
        "plan",
        plan_hooks,
        whole=True,
        summary="See what declarations of hooks would change",
        help="Nothing is changed. Hooks are identified by their paths.",
        request=HooksToPlan,
        response=HooksPlan,
        example={"hooks": {"github": EXAMPLE}},
    ),
    NOUN.does_to_all(
        "apply",
        apply_hooks,
        whole=True,
        summary="Make hooks match declarations, all or none",
        help="If a declaration omits `secrets`, the hook keeps its secrets. To apply exactly what an earlier plan "
        "showed, set `plan` to the name that `plan_hooks` returned.",
        request=HooksApplied,
        response=HooksPlan,
        idempotent_key=True,
        example={"hooks": {"github": EXAMPLE}},
    ),
)

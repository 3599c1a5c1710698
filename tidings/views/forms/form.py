"""Forms as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.model import moment
from tidings.model.forms.form import Form, FormField


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A form. `url` is the URL of its page, to which it is also submitted."""

    id: str
    url: str
    path: str
    tenant: str | None
    fields: dict[str, FormField]
    title: str
    description: str
    submit: str
    thanks: str
    lang: str
    type: str
    subject: str
    origins: tuple[str, ...]
    honeypot: str
    min_seconds: float
    max_per_minute: int
    enabled: bool
    revision: int
    created: str
    updated: str


def form_view(form: Form, base: str) -> FormView:
    """A form. `base`: the server's public URL, without a trailing slash; empty if there is none."""
    return FormView(
        **msgspec.structs.asdict(form.options),
        id=form.id,
        url=f"{base}/f/{form.options.path}",
        tenant=form.tenant,
        revision=form.revision,
        created=moment.to_text(form.created),
        updated=moment.to_text(form.updated),
    )

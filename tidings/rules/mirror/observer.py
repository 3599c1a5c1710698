"""From a response to observations: the records, the key of each, what is kept of it, and which ones are tombstones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tidings.model.event import Event
from tidings.model.link import EmitRule
from tidings.rules.calls.answers import read_answer, soap_fault
from tidings.rules.hooks.charset import in_utf8
from tidings.rules.mirror.difference import Counted, Observation
from tidings.rules.mirror.records import BadKey, BadRecord, found_at, key_text, records
from tidings.rules.reading.size import VALUES_MAX, has_too_many_values
from tidings.rules.template import MISSING, SCOPE, Condition, JsonTemplate, Scope, is_template

OF_RECORD = ("record", "body", "headers")
"""The names under which templates of `emit` see a response, in addition to those of the event."""
RECORDS_MAX = 100_000
"""The maximum number of records in one response."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ReadAnswer(NamedTuple):
    """A parsed response. Its `body` is None only if the status alone is what counts."""

    body: Any
    headers: dict[str, str]
    records: list[Any]


class Observer:
    """Turns one link's responses into observations, compiled. Used by one thread at a time."""

    def __init__(self, rule: EmitRule, pointer: str = "/emit") -> None:
        """Raises Refused with the place of a template that is wrong."""
        names = (*SCOPE, *OF_RECORD)
        self.rule, self.counted = rule, Counted(rule.only, rule.ignore)
        self._key = JsonTemplate(rule.key, f"{pointer}/key", names) if is_template(rule.key) else None
        self._key_path = tuple(rule.key.split("."))
        self._data = None if rule.data is None else JsonTemplate(rule.data, f"{pointer}/data", names)
        self._deleted = None if rule.deleted is None else Condition(rule.deleted, f"{pointer}/deleted", names)

    def read(self, headers: dict[str, str], raw: bytes) -> ReadAnswer:
        """A response and its records. Raises BadRecord if it is not what the link expects."""
        kind = headers.get("content-type", "")
        text = in_utf8(raw, kind)
        if text is not None and not text.strip():
            raise BadRecord("The response has no content.")
        if text is not None and text.lstrip()[:1] in (b"{", b"[") and has_too_many_values(text):
            raise BadRecord(f"The response has more than {VALUES_MAX:,} names and values. Request smaller pages.")
        body = read_answer(kind, raw)
        if text is None or type(body) is str:
            raise BadRecord("The response is neither JSON nor XML.")
        if (fault := soap_fault(body)) is not None:
            raise BadRecord(f"The response is {fault}.")
        found = records(body, self.rule.each, is_xml=text.lstrip()[:1] == b"<")
        if len(found) > RECORDS_MAX:
            raise BadRecord(f"The response has {len(found):,} records; the maximum is {RECORDS_MAX:,}.")
        return ReadAnswer(body, headers, found)

    def observations(self, event: Event, answer: ReadAnswer) -> Iterator[Observation]:
        """The observations, record by record. Raises BadRecord or TemplateFailed."""
        is_plain = self._key is None and self._data is None and self._deleted is None
        try:
            for number, each in enumerate(answer.records, 1):
                if is_plain:
                    yield Observation(self._key_at(each, number), each)
                else:
                    yield self._observed(event, answer, each, number)
        except BadKey as wrong:
            raise BadRecord(f"{wrong}{self._hint(answer.body)}") from None

    def _hint(self, body: Any) -> str:
        """A hint at why a key was not found, if the response was taken as one record."""
        if self.rule.each or type(body) is not dict:
            return ""
        lists = [name for name, value in body.items() if type(value) is list and _NAME.fullmatch(name)]
        return (
            " Without `each`, the whole response is one record. If it contains a list of records, give its path, "
            "such as "
            f"`each: {lists[0] if lists else 'result.records'}`."
        )

    def _observed(self, event: Event, answer: ReadAnswer, record: Any, number: int) -> Observation:
        more = {"record": record, "body": answer.body, "headers": answer.headers}
        scope = Scope(event, more)
        if self._key is None:
            key = self._key_at(record, number)
        else:
            key = key_text(self._key.text(scope), number, self.rule.key)
        if self._deleted is not None and self._deleted.holds(scope):
            return Observation(key, None, is_deleted=True)
        data = record if self._data is None else self._data.fill(scope)
        if data is MISSING:
            raise BadRecord(f"The template `data` yields no value for record {number:,} of the response.")
        return Observation(key, data)

    def _key_at(self, record: Any, number: int) -> str:
        if type(record) is dict and len(self._key_path) == 1:
            return key_text(record.get(self._key_path[0]), number, self.rule.key)
        found = found_at(record, self._key_path)
        return key_text(found[0] if found else None, number, self.rule.key)


def scope_of(event: Event, more: Mapping[str, Any]) -> Scope:
    """A scope with values of a response added."""
    return Scope(event, dict(more))

"""The tests of links in a file, and what is wrong with their form.

A test is `{event: {data, ...}, expect: ...}`, in the list `tests` of its link. `expect` is the link's request (`put:
PATH`, `json`, `form`, `query`, ...), mail (`to`, `subject`, ...) or edit (`patch: ID`, `data`), of which only the
given parts are compared; a list of them if the link has `split`; or `nothing` if the link does not act.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidings.model.link import EDIT_WORDS, VERBS
from tidings.model.moment import from_text
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import escaped

PARTS = ("name", "event", "mine", "expect")
EVENT_PARTS = ("id", "type", "subject", "time", "tenant", "data", "previous", "changed")
NOTHING = "nothing"
EXPECTED = {
    "call": (*VERBS, "query", "headers", "json", "form", "xml", "text"),
    "mail": ("to", "subject", "text", "html"),
    "item": (*EDIT_WORDS, "data"),
}
"""The members that `expect` may have, by the action of the test's link."""


def read_tests(given: Mapping[str, Any], declared: Mapping[str, Any], wrong: Places) -> None:
    """Report what is wrong with the form of tests. `given`: the tests by links' names; `declared`: the links."""
    for link, tests in given.items():
        at = f"/links/{escaped(link)}/tests"
        action = next((each for each in EXPECTED if each in (declared.get(link) or {})), None)
        if action is None or "event" not in ((declared.get(link) or {}).get("when") or {}):
            detail = (
                "Only a link that acts on events can have tests. To try a link with a timer, use `tidings links test`."
            )
            wrong.say(at, "contradiction", detail)
        elif type(tests) is not list:
            wrong.say(at, "wrong_type", "`tests` must be a list, as in `- {event: {data: {}}, expect: nothing}`.")
        else:
            for number, test in enumerate(tests):
                _read_test(test, f"{at}/{number}", action, wrong)


def _read_test(test: Any, at: str, action: str, wrong: Places) -> None:
    found = wrong.members(test, at, PARTS, "A test")
    event = wrong.members(found.get("event", {}), f"{at}/event", EVENT_PARTS, "An event")
    if "time" in event:
        try:
            from_text(str(event["time"]))
        except ValueError:
            wrong.say(f"{at}/event/time", "wrong_value", "`time` must be a time such as 2026-01-31T09:00:00Z.")
    for name in ("id", "type", "subject", "tenant"):
        if event.get(name) is not None and type(event[name]) is not str:
            wrong.say(f"{at}/event/{name}", "wrong_type", f"`{name}` must be a string.")
    if found.get("expect") is None:
        detail = f"A test needs `expect`: the expected {action}, such as `{EXPECTED[action][0]}: ...`, or `nothing`."
        wrong.say(f"{at}/expect" if "expect" in found else at, "missing", detail)
    elif found["expect"] != NOTHING:
        several = found["expect"] if type(found["expect"]) is list else [found["expect"]]
        for each in several:
            wrong.members(each, f"{at}/expect", EXPECTED[action], "`expect`")

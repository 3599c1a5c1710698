"""Some of the seeds that `python -m tests.nodes.simulation 10000` runs, and each rule broken once on purpose."""

from __future__ import annotations

import pytest

from tests.examples import examples
from tests.nodes.simulation.seeds import failing, told, wrong
from tests.nodes.simulation.variant import CONTROLS

SEEDS = examples(100)
CONTROL_SEEDS = 1000
FIRST = {"a clock that stops while the machine sleeps": 460}
"""Where to begin with what few seeds find: all before that would cost the suite 15 s."""


@pytest.mark.slow
def test_nothing_goes_wrong_on_a_bad_day() -> None:
    found = failing(range(SEEDS))
    assert not found, told(found[0][0])


@pytest.mark.slow
def test_nothing_goes_wrong_on_many_bad_days() -> None:
    found = failing(range(SEEDS, 4 * SEEDS))
    assert not found, told(found[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLS)
def test_a_broken_rule_is_found(name: str) -> None:
    first = FIRST.get(name, 0)
    assert any(wrong(seed, CONTROLS[name]) for seed in range(first, first + CONTROL_SEEDS))


def test_a_failing_seed_is_told_as_a_story() -> None:
    variant = CONTROLS["a replica that commits do not wait for"]
    seed = next(seed for seed in range(CONTROL_SEEDS) if wrong(seed, variant))
    story = told(seed, variant).splitlines()
    assert story[0].startswith(f"Seed {seed}, ") and any("is the sender" in line for line in story)
    assert wrong(seed, variant) == story[-1].partition(" s  ")[2]

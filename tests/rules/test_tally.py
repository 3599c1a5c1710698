"""Tallies: every outcome has a class, and durations are read back from buckets."""

from __future__ import annotations

from tidings.model.outcome import OUTCOMES
from tidings.rules.deliver import tally


def of(**columns: int) -> list[int]:
    cell = tally.empty()
    for name, value in columns.items():
        cell[tally.COLUMNS.index(name)] = value
    return cell


def test_every_outcome_is_counted_in_a_class() -> None:
    assert set(tally.COLUMN_OF) == {each.name for each in OUTCOMES}
    assert {tally.COLUMNS[column] for column in tally.COLUMN_OF.values()} == set(tally.CLASSES)
    assert tally.COLUMNS[tally.COLUMN_OF["ok"]] == "delivered"


def test_what_was_skipped_is_no_attempt() -> None:
    counts = of(delivered=3, rejected=1, skipped=40)
    assert tally.attempts(counts) == 4 and tally.success_rate(counts) == 0.75
    assert tally.success_rate(of(skipped=40)) is None


def test_quantiles_lie_in_their_bucket() -> None:
    counts = of(b0=50, b3=45, b11=5)
    assert tally.quantile_ms(counts, 0.5) == 10
    assert 50 <= (tally.quantile_ms(counts, 0.9) or 0) <= 100
    assert tally.quantile_ms(counts, 0.99) == tally.BOUNDS_MS[-1]
    assert tally.quantile_ms(tally.empty(), 0.5) is None


def test_tallies_add_up() -> None:
    assert tally.added([]) == tally.empty()
    assert tally.added([of(delivered=1, b0=1), of(delivered=2, b1=2)]) == of(delivered=3, b0=1, b1=2)

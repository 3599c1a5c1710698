"""Short runs of `benchmarks.nodes`: what was acknowledged is stored and delivered, in order, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nodes.judge import Verdict
from benchmarks.nodes.trial import trial
from benchmarks.processes import SinkProcess, end
from tests.postgres_pair import PostgresPair
from tidings.rules.nodes.beats import FROZEN_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
TURNS = 10**6


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProcess]:
    process = SinkProcess()
    yield process
    end(process.process)


def _is_whole(verdict: Verdict) -> bool:
    assert verdict.acknowledged > 20 and verdict.turns > 5, verdict.told()
    return (verdict.lost, verdict.undelivered, verdict.out_of_order) == (0, 0, 0)


def _longest(verdict: Verdict) -> float:
    return max(seconds for _, seconds in verdict.silences)


def test_kills_lose_nothing(tmp_path: Path, migrated_url: str, sink: SinkProcess) -> None:
    with trial(tmp_path, sink, migrated_url, nodes=2, say=print, turns=TURNS, seed=1) as made:
        made.wait()
        made.kill()
        verdict = made.verdict()
        assert _is_whole(verdict), verdict.told()
        assert _longest(verdict) < 8, verdict.told()


@pytest.mark.thorough
def test_a_frozen_sender_is_followed_and_sends_nothing_when_it_wakes(
    tmp_path: Path, migrated_url: str, sink: SinkProcess
) -> None:
    with trial(tmp_path, sink, migrated_url, nodes=2, say=print, turns=TURNS) as made:
        made.wait()
        assert made.freeze("at rest", FROZEN_SECONDS + 4)
        verdict = made.verdict()
        assert _is_whole(verdict), verdict.told()
        assert _longest(verdict) < 20, verdict.told()


@pytest.mark.parametrize(
    ("phase", "sender"),
    [
        ("in COPY", True),
        pytest.param("in COPY", False, marks=pytest.mark.thorough),
        pytest.param("in settlement", True, marks=pytest.mark.thorough),
        pytest.param("holding an item's row", False, marks=pytest.mark.thorough),
    ],
)
def test_a_node_that_is_frozen_in_the_middle_of_a_transaction_holds_nobody_up(
    tmp_path: Path, postgres_url: str, sink: SinkProcess, phase: str, sender: bool
) -> None:
    load: dict[str, Any] = {"rate": 10.0, "turns": TURNS, "turn_pause": 0.05, "phase": phase}
    with trial(tmp_path, sink, postgres_url, nodes=2, say=print, **load) as made:
        made.wait()
        assert made.freeze(phase, FROZEN_SECONDS + 4, sender=sender)
        verdict = made.verdict()
        assert _is_whole(verdict), verdict.told()
        assert _longest(verdict) < (20 if sender else 4), verdict.told()
        assert verdict.others_ms["max"] < 4_000 and not verdict.others_refused, verdict.told()
        assert all(seconds < 13 for seconds in verdict.edits_s), verdict.told()


def test_a_failover_loses_nothing(tmp_path: Path, sink: SinkProcess) -> None:
    with (
        PostgresPair() as pair,
        trial(tmp_path, sink, pair.database(), nodes=2, say=print, pair=pair, turns=TURNS) as made,
    ):
        made.wait()
        made.fail_over()
        verdict = made.verdict()
        assert _is_whole(verdict), verdict.told()
        assert _longest(verdict) < 8, verdict.told()


@pytest.mark.thorough
def test_the_judge_finds_what_a_replica_lost_that_commits_do_not_wait_for(tmp_path: Path, sink: SinkProcess) -> None:
    """The control of the test before."""
    with (
        PostgresPair() as pair,
        trial(tmp_path, sink, pair.database(), nodes=2, say=print, pair=pair, turns=TURNS) as made,
    ):
        made.wait()
        pair.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        pair.execute("SELECT pg_reload_conf()")
        # If it stood still, what is under way to it could still arrive.
        pair.kill_replica()
        made.until_arrivals()
        before = len(made.callers.answered)
        while len(made.callers.answered) < before + 40:
            made.until_arrivals()
        pair.kill_primary()
        made.callers.stop()
        pair.revive_replica()
        pair.promote()
        assert made.verdict(patience=1.0).lost > 0

"""What a node may do by its beats, moment by moment; `tests/nodes/simulation` plays it through."""

from __future__ import annotations

from tidings.rules.nodes.beats import FROZEN_SECONDS, PROOF_SECONDS, STEP_SECONDS, Line, Patience, Peer, Proof, ahead


def test_a_proof_counts_from_the_question_and_ends_before_patience_does() -> None:
    proof = Proof()
    assert not proof.holds(100.0)
    proof.found(100.0)
    assert proof.holds(100.0 + PROOF_SECONDS - 0.01) and not proof.holds(100.0 + PROOF_SECONDS)
    assert PROOF_SECONDS < FROZEN_SECONDS
    proof.found(200.0, session=1)
    assert proof.holds(200.0, session=1) and not proof.holds(200.0, session=2)
    proof.lost()
    assert not proof.holds(200.0, session=1)


def test_who_ends_another_has_beaten_all_that_time() -> None:
    patience = Patience()
    for second in range(11):
        assert not patience.may_end()
        patience.beaten(100.0 + second, session=1)
    assert patience.may_end()
    patience.beaten(100.0 + 10 + FROZEN_SECONDS / 2 + 1, session=1)
    assert not patience.may_end()


def test_after_a_failover_a_place_is_left_to_who_had_it() -> None:
    patience = Patience()
    assert patience.may_try(100.0)
    patience.beaten(100.0, session=1)
    assert patience.may_try(100.0)
    patience.beaten(101.0, session=2)
    assert not patience.may_try(101.0 + PROOF_SECONDS - 0.1) and patience.may_try(101.0 + PROOF_SECONDS)


def test_nodes_try_in_the_order_of_their_ids_and_draining_ones_last() -> None:
    others = [Peer("a", 0.5), Peer("b", 60.0), Peer("c", 0.5, draining=True), Peer("e", 0.5)]
    assert ahead(Peer("d", 0.0), others) == 1
    assert ahead(Peer("d", 0.0, draining=True), others) == 3
    line = Line()
    assert line.is_my_turn(100.0, 0) and not line.is_my_turn(100.0 + STEP_SECONDS - 0.1, 1)
    assert line.is_my_turn(100.0 + STEP_SECONDS, 1)
    line.taken()
    assert not line.is_my_turn(200.0, 1)

"""Durations in buckets."""

from __future__ import annotations

from tidings.rules.histogram import Histogram, Histograms


def test_buckets_count_what_is_at_most_their_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0, -3.0):
        histogram.observe(value)
    assert histogram.buckets() == [("0.1", 3.0), ("1.0", 4.0), ("+Inf", 5.0)]
    assert abs(histogram.total - 7.65) < 1e-9


def test_there_is_one_for_each_label() -> None:
    histograms = Histograms((1.0,))
    for label in ("b", "a", "b"):
        histograms.observe(label, 2.0)
    assert [(label, each.buckets()[-1][1]) for label, each in histograms.all()] == [("a", 1.0), ("b", 2.0)]

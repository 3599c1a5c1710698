"""Tests of tidings/route/."""

"""Tests of tidings/store/."""

"""Tests of tidings/net/."""

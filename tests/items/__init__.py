"""Tests of items, over HTTP, on every engine."""

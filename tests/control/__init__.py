"""Tests of what steers the stages."""

"""Tests of HTTP in, against a running server."""

"""Tests of hooks: others' webhooks, from the socket to the event."""

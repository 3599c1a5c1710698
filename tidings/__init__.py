"""Tidings: one server that gives an application an API and webhooks."""

__version__ = "0.1.0"

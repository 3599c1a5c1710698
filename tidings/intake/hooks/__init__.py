"""Hooks: let another system's request in as one event, once; or refuse it, and keep the refusal with its reason."""

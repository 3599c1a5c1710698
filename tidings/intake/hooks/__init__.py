"""Hooks: let a request of another system in, as one event, once; or refuse it, and keep the refusal with its reason."""

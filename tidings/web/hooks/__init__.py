"""The door `/in`: others' webhooks, as they arrive."""

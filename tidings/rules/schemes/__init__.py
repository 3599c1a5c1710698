"""How webhooks are signed and verified, a scheme in files of its own; `standard` is Standard Webhooks 1.0."""

"""Signature schemes held against the senders' own packages."""

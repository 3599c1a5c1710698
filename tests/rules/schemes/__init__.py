"""Signature schemes: what is genuine, what is not, and why."""

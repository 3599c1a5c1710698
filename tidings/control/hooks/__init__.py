"""Hooks: what their owners write and its checks, every change, and what a file declares."""

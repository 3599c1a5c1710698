"""Hooks: their settings and the checks on them, every change, and declarations in a file."""

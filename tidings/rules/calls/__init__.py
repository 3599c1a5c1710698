"""Calls of other systems: templates for URLs, headers and bodies, authentication, and reading answers."""

"""Calls to other systems: templates for URLs, headers and bodies, authentication, and reading responses."""

"""Callers: their keys, addresses, scopes, tickets, call limits and open connections."""

"""Connections, and links that call other systems."""

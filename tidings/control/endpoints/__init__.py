"""Endpoints: their settings and the checks on them, every change, and cancelling their waiting deliveries."""

"""Bulk jobs: retry or cancel all deliveries that match a filter; the number is shown before anything starts."""

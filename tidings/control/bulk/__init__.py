"""Bulk jobs: retry or cancel all deliveries that fit a filter, with the number shown before anything starts."""

"""Helpers: nodes that send requests to endpoints for the node that decides what is sent."""

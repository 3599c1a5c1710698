"""Adapters for web frameworks: each verifies webhooks before they reach a view. Import the one that you need."""

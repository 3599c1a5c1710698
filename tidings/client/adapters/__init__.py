"""Adapters for web frameworks: each verifies a webhook before a view gets it. Import the one that you need."""

"""The door for those who come from Svix: its API as a thin translation over our own operations."""

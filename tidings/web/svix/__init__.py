"""The door for users who come from Svix: Svix's API, as a thin translation to our own operations."""

"""The operations of the door for users who come from Svix, a file for each of its nouns."""

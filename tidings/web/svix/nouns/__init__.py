"""The operations of the door for those who come from Svix, a file for each of its nouns."""

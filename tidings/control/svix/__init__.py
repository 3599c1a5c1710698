"""Decisions behind the door for those who come from Svix: what each `uid` names, what counts as a message, portal
tokens."""

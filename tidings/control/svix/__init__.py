"""What the door for those who come from Svix decides: whose `uid` is whose, what counts as a message, portal tokens."""

"""Commands about the state of things: tallies of attempts, and who changed what."""

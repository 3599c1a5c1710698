"""Commands about how things stand: tallies of attempts, and who changed what."""

"""Floor 2: the only outgoing connections."""

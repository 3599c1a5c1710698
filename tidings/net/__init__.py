"""Floor 2: the only doors outwards."""

"""Floor 1: decisions as pure functions. No I/O; the clock and chance are arguments."""

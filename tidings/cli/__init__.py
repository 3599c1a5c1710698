"""Floor 6: the command line, for operators and scripts. `serve` loads nothing that only other commands need."""

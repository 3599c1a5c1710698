"""Floor 6: the command line, for operators and scripts. `serve` starts without loading anything the others need."""

"""How the command line reads and writes: layout, sentences, numbers, times, JSON with every digit."""

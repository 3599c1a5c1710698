"""The parts of the demo: the payloads that are sent, the doors that they arrive at, the board that shows it."""

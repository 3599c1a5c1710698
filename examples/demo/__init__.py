"""The parts of the demo: guests and kitchen, the doors that dishes arrive at, and the board that shows everything."""

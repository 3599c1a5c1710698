"""Floor 4: HTTP in. `app.py` chooses a door by the path: api/, docs/, hooks/, forms/; a console would be another."""

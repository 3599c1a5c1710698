"""Floor 4: HTTP in. `app.py` chooses a door by the path, such as api/, hooks/, forms/ or console/."""

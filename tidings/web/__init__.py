"""Floor 4: HTTP in. Thin: it reads requests, asks the floors below, and writes answers. `app.py` is the way in."""

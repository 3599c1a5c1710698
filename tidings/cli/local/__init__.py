"""Commands for the machine that the server runs on: serve, check, backup, restore, doctor."""

"""Commands that show what is declared on a server."""

"""The door for assistants, `/mcp`: a key's own menu as tools of the Model Context Protocol."""

"""Forms: one submission from its bytes to the event, tokens of their pages, and how often an address may submit."""

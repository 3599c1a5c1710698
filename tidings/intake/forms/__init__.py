"""Forms: a submission's way from its bytes to the event, the tokens of pages, and how often an address may submit."""

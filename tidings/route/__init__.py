"""Floor 3, stage ROUTE: from events to deliveries."""

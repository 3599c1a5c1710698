"""Floor 3, stage DELIVER: from deliveries to attempts."""

"""Floor 2: the only durable storage. Facts are appended; only a few small rows are updated."""

"""Floor 2: the only durable memory. Facts are appended, a few small rows move."""

"""Forms: their fields as declared, what people send, and the messages to them in their language."""

"""Forms: the door, what people send, and the page in a real browser."""

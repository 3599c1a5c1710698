"""The operations on events: publish, list, read one, follow the feed and the stream."""

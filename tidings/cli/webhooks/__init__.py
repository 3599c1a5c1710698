"""Commands about other senders' webhooks and about forms. `schemes`, `trigger` and `verify` need no server."""

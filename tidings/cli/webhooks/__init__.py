"""Commands about webhooks of other senders: schemes, trigger, verify. They call no Tidings server."""

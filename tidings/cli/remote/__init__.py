"""Commands that call a server's API: apply, publish, listen, replay; events, items, endpoints, deliveries, keys."""

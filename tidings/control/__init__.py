"""Floor 3, what callers can manage: keys, tenants, endpoints, links, hooks, forms, collections, replays."""

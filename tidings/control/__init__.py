"""Floor 3, what callers do with the stages: keys, tenants, endpoints, links, hooks, forms, collections, replays."""

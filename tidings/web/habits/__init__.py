"""What many operations share: pages of lists, `fields`, `sort`, Idempotency-Key, entity tags, merge patches, rows."""

"""What many operations do alike: pages of lists, `fields`, `sort`, Idempotency-Key, entity tags, merge patches."""

"""Floor 3½: things as callers see them: structs from which the API and pages build their responses."""

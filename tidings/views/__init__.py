"""Floor 3½: what there is as callers see it: structs from which the API and pages make their answers."""

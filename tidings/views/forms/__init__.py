"""Forms as callers see them."""

"""Splitting: a link makes a delivery for each element of a list, and each is then independent."""

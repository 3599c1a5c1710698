"""Splitting: a link makes a delivery for each element of a list, and each of them is on its own from then on."""

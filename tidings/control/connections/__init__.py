"""Connections to other systems: declared by operators, one by one or in a file, together with the links that use
them."""

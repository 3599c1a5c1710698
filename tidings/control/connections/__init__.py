"""Connections to other systems: declared by operators, one by one or by the file, beside the links that use them."""

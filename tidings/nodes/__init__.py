"""Several nodes on one database: a node that stands by, and one that works together with others."""

"""Nodes of several on one database: one that stands by, and one that works together with others."""

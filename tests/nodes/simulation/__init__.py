"""Nodes on a PostgreSQL that is a model, in virtual time: the rules are real (rules/nodes), everything else is not."""

"""Limits: the calls of keys, on one node and across nodes, and the sending rate of an endpoint."""

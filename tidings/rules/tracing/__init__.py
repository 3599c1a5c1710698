"""Traces: the context that requests carry (W3C Trace Context), and the configuration of tracing from the
environment."""

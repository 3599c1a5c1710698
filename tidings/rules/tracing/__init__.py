"""Traces: the context that requests carry (W3C Trace Context), and what the environment says about tracing."""

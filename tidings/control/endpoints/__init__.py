"""Endpoints: what their owners write and its checks, every change, and cancelling what waits for one."""

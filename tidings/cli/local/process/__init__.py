"""A server as a process among others: how it logs, and what it reports to systemd."""

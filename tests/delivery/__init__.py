"""Deliveries, seen from outside: a whole server, a receiver on a socket, a clock that is moved by hand."""

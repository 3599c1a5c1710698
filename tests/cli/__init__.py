"""Tests of the command line: real processes and real sockets."""

"""Tests of the clients, against a real server and against scripted answers on a real socket."""

"""Numbered .sql files, applied once each, in order, one transaction each."""

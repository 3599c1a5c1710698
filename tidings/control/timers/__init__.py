"""Timers of links: each due time becomes an event that is aimed at its link."""

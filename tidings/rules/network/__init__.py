"""Addresses and origins: which we may call, who is really calling us, which certificates and pages are trusted."""

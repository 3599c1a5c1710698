"""Addresses and origins: which ones we may call, who is really calling us, which certificates and pages are trusted."""

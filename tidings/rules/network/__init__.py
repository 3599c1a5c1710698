"""Addresses and origins: whom we may call, who really calls us, which certificates and pages are trusted."""

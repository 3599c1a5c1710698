"""Forms: pages with fields for people."""

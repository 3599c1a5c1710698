"""The customer portal: its links, its sessions, and its pages in a real browser."""

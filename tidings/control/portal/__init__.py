"""The customer portal: its links and sessions."""

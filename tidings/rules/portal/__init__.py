"""Rules for the customer portal: how it looks."""

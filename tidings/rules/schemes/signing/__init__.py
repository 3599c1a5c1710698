"""The checks run backwards: requests as their senders would have signed them."""

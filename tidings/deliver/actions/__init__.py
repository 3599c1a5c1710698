"""What a delivery does, an action in a file of its own: `webhook` composes and signs one request."""

"""Other systems that links call: how they are reached, and what is asked of them."""

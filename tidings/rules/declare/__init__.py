"""From a declaration to a plan: the collections and links that are wanted, and the steps to get there."""

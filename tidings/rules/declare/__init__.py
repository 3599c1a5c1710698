"""From a declaration to a plan: what the collections are to be, and the steps to get there."""

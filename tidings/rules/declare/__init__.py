"""From a declaration to a plan: what the collections are to be, and the steps that lead there."""

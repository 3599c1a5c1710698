"""Items and who may ask what of them: fields, checks, conditions, permits, changes, files line by line."""

"""Floor 0: the nouns. Frozen structs, errors, ids and the clock; nothing here reads or writes anything."""

"""Every change of an item, one by one and from files: checked, written, and told in one event."""

"""Every change of an item, one by one and from files: checked, written, and described by one event."""

"""Another system's records, as last seen: what differs, and how far a poll has read."""

"""The door `/in`: webhooks of other systems, exactly as received."""

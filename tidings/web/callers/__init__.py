"""Who calls, from where, and how much each may: keys, scopes, tickets, call limits, open connections."""

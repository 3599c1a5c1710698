"""What hooks and forms share, as both have a path: kept on behalf of callers, and declared in a file."""

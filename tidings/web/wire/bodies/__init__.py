"""Bodies of requests: read within limits, and into an operation's struct; large ones in slices and in turn."""

"""What the writer needs besides its thread: answers, how far apart groups are, and what to do after another node."""

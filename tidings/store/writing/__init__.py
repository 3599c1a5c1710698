"""What the writer needs besides its thread: answers for event loops, and what to do where another node came first."""

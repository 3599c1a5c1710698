"""What links remember: when their timers are due, what their polls have read, and values that they keep."""

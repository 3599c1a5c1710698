"""What links remember: when their timers are due."""

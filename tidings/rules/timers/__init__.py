"""When timers are due: durations, times of day, cron."""

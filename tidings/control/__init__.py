"""Floor 3, what steers the stages: endpoints, replays, and how long things are kept."""

"""Pages about the service as a whole: its jobs, the server itself, and who changed what."""

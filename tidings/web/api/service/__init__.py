"""The operations that tell of the server itself: health, readiness, metrics, shares."""

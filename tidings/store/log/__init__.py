"""Append-only data: events in commit order, and deliveries; the feed, lists, trails and replays."""

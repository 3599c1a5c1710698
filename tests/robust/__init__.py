"""Attempts to break it: kills, full disks, lost databases, broken threads, and random sequences against a model."""

"""Tests of the door for those who come from Svix; its own SDKs are the judges."""

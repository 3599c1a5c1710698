"""Joined nodes under load, and what happens to them: killed, frozen, without their primary; and what they cost."""

"""The kinds of checks, one file each; `verifier.py` has the list."""

"""The suite. Folders mirror those of `tidings/`; what applies to the repository as a whole is at the top."""

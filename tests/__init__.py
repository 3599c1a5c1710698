"""The suite. Folders mirror those of `tidings/`; what holds for the repository as a whole stands at the top."""

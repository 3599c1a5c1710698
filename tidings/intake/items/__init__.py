"""Items: every change, one by one and from files, with one event each; and reading, as far as the caller may."""

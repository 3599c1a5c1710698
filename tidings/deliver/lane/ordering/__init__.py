"""Order beyond one line: links that keep their order together, and newer events that replace older ones."""

"""Reports on the whole server as the document describes them: bounds and examples."""

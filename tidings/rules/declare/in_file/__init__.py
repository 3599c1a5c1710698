"""What only the declarations in a file have: tests of links, spellings of hooks and forms, and lint."""

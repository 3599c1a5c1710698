"""The console's pages and actions, a file for each noun; `table.py` lists them."""

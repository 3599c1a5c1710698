"""The tables of items: made and altered, read and written, and conditions as SQL."""

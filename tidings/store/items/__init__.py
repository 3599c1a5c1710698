"""The tables of items: created and altered, read and written; filters and the row rules of permits as SQL."""

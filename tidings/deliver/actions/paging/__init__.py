"""Paging: the parts in which a page of records is stored."""

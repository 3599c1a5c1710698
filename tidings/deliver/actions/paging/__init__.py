"""Paging: in which parts a page of records is stored."""

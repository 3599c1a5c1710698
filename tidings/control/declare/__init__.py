"""Declarations carried out beside everybody else's writes: in short jobs of the writer, with rests between them."""

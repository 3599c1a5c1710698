"""Declarations carried out beside everyone else's writes: in short jobs of the writer, with rests between them."""

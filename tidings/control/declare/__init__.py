"""Declarations carried out alongside everyone else's writes: in short jobs of the writer, with rests in between."""

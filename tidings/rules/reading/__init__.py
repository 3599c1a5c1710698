"""How input is read and refused: JSON, JSON Schema, numbers, and every wrong place named."""

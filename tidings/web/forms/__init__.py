"""The door `/f`: forms as pages, and what people send from them."""

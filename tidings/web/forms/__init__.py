"""The door `/f`: forms as pages, and the submissions that people send from them."""

"""The door of the API, and the operations of `/v1`: a file or folder for each noun; those on items are in items/."""

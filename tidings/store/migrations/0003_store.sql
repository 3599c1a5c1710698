-- What is to be known of the store as a whole, such as the mark of the secret key that its secrets are sealed with.
CREATE TABLE store (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

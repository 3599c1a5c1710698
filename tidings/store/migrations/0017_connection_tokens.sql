-- The last token of each connection with OAuth 2.0, sealed. A refresh token that was rotated is nowhere else.
CREATE TABLE connection_token (
    connection TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- Forms: pages that people fill in. Options as JSON. What was submitted is in `receipt`, under the form's id.
CREATE TABLE form (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT,
    path TEXT NOT NULL UNIQUE,
    options TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

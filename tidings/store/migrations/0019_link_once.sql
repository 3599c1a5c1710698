-- Keys for which a link has succeeded, so that it never acts on them again. The keys are hashes.
CREATE TABLE link_once (
    link INTEGER NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (link, key)
) STRICT, WITHOUT ROWID;

-- Parts: deliveries that are about one element of a list, which a link made of an event (`split`).
CREATE TABLE part (
    delivery INTEGER NOT NULL PRIMARY KEY,
    link INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    element TEXT NOT NULL
) STRICT;
CREATE INDEX part_parent ON part (link, parent);

-- What is held behind an earlier delivery of its subject, found by its line: memory keeps only the first of each.
CREATE INDEX waiting_line ON waiting (link, subject, delivery) WHERE held = 1;

-- What ended badly, by link: so an endpoint's dead deliveries are found among millions of others'. `ended_link` is the
-- delivery's link if this attempt ended it undelivered (dead, cancelled or replaced), else NULL.
ALTER TABLE attempt ADD COLUMN ended_link INTEGER;
UPDATE attempt SET ended_link = (SELECT d.link FROM delivery AS d WHERE d.number = attempt.delivery)
WHERE state IN ('dead', 'cancelled');
UPDATE attempt SET ended_link = (SELECT d.link FROM delivery AS d WHERE d.number = attempt.delivery)
WHERE state = 'replaced';
CREATE INDEX attempt_ended_of_link ON attempt (ended_link, state, delivery) WHERE ended_link IS NOT NULL;

-- And what waits for a link, in the order of lists. The condition, which every row fulfils, keeps SQLite from choosing it
-- for statements that read in the order of due times: only those that repeat the condition can use it.
CREATE INDEX waiting_of_link ON waiting (link, delivery) WHERE link >= 0;

-- A purge and the prefetch that follows it name each other.
ALTER TABLE tasks ADD COLUMN then_task INTEGER REFERENCES tasks;
ALTER TABLE tasks ADD COLUMN after_task INTEGER REFERENCES tasks;
-- How much of what the purge matched is fetched again; null: the lines name what is fetched.
ALTER TABLE tasks ADD COLUMN refill TEXT;

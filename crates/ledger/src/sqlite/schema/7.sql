-- On what terms a prefetch is done; null: none but the usual.
ALTER TABLE tasks ADD COLUMN terms TEXT;

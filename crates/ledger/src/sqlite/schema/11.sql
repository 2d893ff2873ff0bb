-- What keeps a prefetch from beginning anything: somebody paused it; its window is closed.
ALTER TABLE tasks ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN outside INTEGER NOT NULL DEFAULT 0;

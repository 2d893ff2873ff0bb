-- How a prefetch follows the playlists among its lines; null: it does not.
ALTER TABLE tasks ADD COLUMN follow TEXT;

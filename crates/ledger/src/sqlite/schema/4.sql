-- How a prefetch follows the playlists among its lines; null: it does not.
ALTER TABLE tasks ADD COLUMN follow TEXT;

-- The media library. The newest stream of a medium is the one of the highest number.
CREATE TABLE streams (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL REFERENCES accounts,
    media TEXT NOT NULL,
    url TEXT NOT NULL,
    stream TEXT NOT NULL,
    UNIQUE (account, media, url)
) STRICT;

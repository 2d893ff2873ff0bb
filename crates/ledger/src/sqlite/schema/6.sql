-- People who sign in to the console; a password is kept as its hash with salt and cost.
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of what a browser shows only the digest is kept.
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    user TEXT NOT NULL REFERENCES users,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);

-- Links to sign in, each good once.
CREATE TABLE sign_in_links (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    user TEXT NOT NULL REFERENCES users,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what. Names of users and accounts are kept as they were: both may be gone.
CREATE TABLE deeds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    user TEXT NOT NULL,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT
) STRICT;
CREATE INDEX deeds_by_user ON deeds (user, number);

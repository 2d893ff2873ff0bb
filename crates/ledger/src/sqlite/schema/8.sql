-- Keys that are shown with each request instead of signing it; they sign nothing.
ALTER TABLE keys ADD COLUMN bearer INTEGER NOT NULL DEFAULT 0;

-- Submissions that came with a key of the sender's choice, so that the same is not submitted twice; and how many are kept.
CREATE TABLE once (
    account TEXT NOT NULL REFERENCES accounts,
    key TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    task INTEGER NOT NULL REFERENCES tasks,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_by_time ON once (account, at_ms);
CREATE TABLE once_kept (
    account TEXT PRIMARY KEY REFERENCES accounts,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

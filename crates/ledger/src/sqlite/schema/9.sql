-- What is to be told to addresses that users named; `next_ms` is null once it was taken or given up.
CREATE TABLE callbacks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL REFERENCES accounts,
    id TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER,
    ended_ms INTEGER,
    delivered INTEGER NOT NULL DEFAULT 0,
    outcome TEXT
) STRICT;
CREATE INDEX callbacks_due ON callbacks (account, next_ms, number) WHERE next_ms IS NOT NULL;
CREATE INDEX callbacks_by_account ON callbacks (account, number);

-- Media jobs, and a part for each of their media: its task came in the same transaction in which it says so.
CREATE TABLE media_jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts,
    request TEXT NOT NULL,
    -- The domains that the submitter reaches; null: all of the account's.
    within TEXT,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX media_jobs_by_account ON media_jobs (account, number);

CREATE TABLE media_parts (
    job INTEGER NOT NULL REFERENCES media_jobs ON DELETE CASCADE,
    place INTEGER NOT NULL,
    account TEXT NOT NULL,
    media TEXT NOT NULL,
    urls TEXT NOT NULL,
    state TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    -- Ended, and its submitter wants to be told and is not yet.
    untold INTEGER NOT NULL DEFAULT 0,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (job, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_parts_waiting ON media_parts (account) WHERE waiting = 1;
CREATE INDEX media_parts_untold ON media_parts (job) WHERE untold = 1;

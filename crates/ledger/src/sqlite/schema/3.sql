-- What a purge's order says, as a certificate needs it when the order itself is long pruned.
CREATE TABLE task_orders (
    task INTEGER PRIMARY KEY REFERENCES tasks,
    id BLOB NOT NULL CHECK (length(id) = 16),
    rules TEXT NOT NULL
) STRICT;

-- What POPs have signed of purges; the signed texts as they are.
CREATE TABLE receipts (
    task INTEGER NOT NULL REFERENCES tasks,
    pop TEXT NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 32),
    confirmed TEXT,
    confirmed_signature TEXT,
    accounted TEXT,
    accounted_signature TEXT,
    PRIMARY KEY (task, pop)
) STRICT, WITHOUT ROWID;

-- When POPs gave up everything they held.
CREATE TABLE starts_over (
    pop TEXT NOT NULL,
    seq INTEGER NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 32),
    statement TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (pop, seq)
) STRICT, WITHOUT ROWID;

-- Every key that was heard under a POP's token. None is ever replaced.
CREATE TABLE pop_keys (
    pop TEXT NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 32),
    data BLOB NOT NULL CHECK (length(data) = 16),
    first_ms INTEGER NOT NULL,
    PRIMARY KEY (pop, key)
) STRICT, WITHOUT ROWID;

-- The seed of the key that control signs with.
ALTER TABLE control ADD COLUMN receipt_seed BLOB CHECK (length(receipt_seed) = 32);

-- What control remembers of itself; one row.
CREATE TABLE control (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_id BLOB NOT NULL CHECK (length(log_id) = 16),
    lease_ms INTEGER
) STRICT;

-- The fleet log. The newest order is never deleted, so that max(seq) is always the log's end.
CREATE TABLE orders (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    body TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    admin INTEGER NOT NULL,
    limits TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts,
    rights TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0,
    -- Of temporary credentials only.
    token_digest BLOB CHECK (length(token_digest) = 32),
    expires_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_account ON keys (account);
CREATE INDEX keys_by_expiry ON keys (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts,
    settings TEXT NOT NULL,
    share_cache TEXT AS (json_extract(settings, '$.share_cache')) VIRTUAL,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_by_account ON domains (account);
CREATE INDEX domains_by_share_cache ON domains (share_cache) WHERE share_cache IS NOT NULL;

-- The newest order that ended a `no_lease = serve`, under the cache space that was served from and under the domain that
-- said so: a POP that is not that far may still serve from there without a lease. Outlives the domains.
CREATE TABLE serve_ended (
    space TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A POP that is gone keeps its row: what is remembered of its data folder must outlive a removal and a return.
CREATE TABLE pops (
    id TEXT PRIMARY KEY,
    area TEXT NOT NULL,
    region TEXT NOT NULL,
    token_digest BLOB NOT NULL CHECK (length(token_digest) = 32),
    joined_seq INTEGER NOT NULL,
    left_seq INTEGER,
    gone INTEGER NOT NULL DEFAULT 0,
    usable_from INTEGER NOT NULL,
    data BLOB CHECK (length(data) = 16),
    boot_number INTEGER,
    watermark INTEGER,
    heard_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Lines submitted, by account, quota day and kind.
CREATE TABLE usage (
    account TEXT NOT NULL REFERENCES accounts,
    day INTEGER NOT NULL,
    kind TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (account, day, kind)
) STRICT, WITHOUT ROWID;

-- `ended` and `fenced` follow from status and steps; they are columns so that indexes can find the few that matter.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL REFERENCES accounts,
    kind TEXT NOT NULL,
    mode TEXT,
    area TEXT,
    status TEXT NOT NULL,
    seq INTEGER NOT NULL,
    fence_from INTEGER,
    lines INTEGER NOT NULL,
    domains TEXT NOT NULL,
    submitted_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    ended INTEGER NOT NULL DEFAULT 0,
    fenced INTEGER NOT NULL DEFAULT 0,
    steps TEXT NOT NULL
) STRICT;
INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', 10000000);
-- Lists are counted and turned over from these alone, without touching the tasks' rows.
CREATE INDEX tasks_by_account ON tasks (account, submitted_ms, id, kind, status, lines);
CREATE INDEX tasks_by_time ON tasks (submitted_ms, id, kind, status, lines);
CREATE INDEX tasks_running ON tasks (id) WHERE ended = 0;
CREATE INDEX tasks_fenced ON tasks (id) WHERE fenced = 1;

CREATE TABLE task_lines (
    task INTEGER NOT NULL REFERENCES tasks,
    line INTEGER NOT NULL,
    domain TEXT NOT NULL,
    url TEXT NOT NULL,
    PRIMARY KEY (task, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_lines_by_url ON task_lines (url);

CREATE TABLE task_domains (
    domain TEXT NOT NULL,
    task INTEGER NOT NULL REFERENCES tasks,
    PRIMARY KEY (domain, task)
) STRICT, WITHOUT ROWID;

-- The certificates that viewers of domains are shown, with what their owners call them; the keys are sealed.
CREATE TABLE server_certificates (
    domain TEXT PRIMARY KEY REFERENCES domains,
    title TEXT,
    chain TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    names TEXT NOT NULL,
    until_s INTEGER NOT NULL,
    set_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

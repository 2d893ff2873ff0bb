-- What POPs counted of domains' traffic, in spans of five minutes that begin at `at_s`.
CREATE TABLE traffic (
    domain TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    area TEXT NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    tls_bytes INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    hit_bytes INTEGER NOT NULL,
    tls_hit_bytes INTEGER NOT NULL,
    origin_requests INTEGER NOT NULL,
    origin_bytes INTEGER NOT NULL,
    origin_tls_bytes INTEGER NOT NULL,
    PRIMARY KEY (domain, at_s, area)
) STRICT, WITHOUT ROWID;
CREATE INDEX traffic_by_time ON traffic (at_s);

-- How much of what a POP's process counted is in there: its totals, so that none is booked twice.
CREATE TABLE traffic_booked (
    pop TEXT NOT NULL,
    domain TEXT NOT NULL,
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    total TEXT NOT NULL,
    PRIMARY KEY (pop, domain)
) STRICT, WITHOUT ROWID;

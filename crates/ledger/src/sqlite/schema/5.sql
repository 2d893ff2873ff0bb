-- Lists of one domain's tasks are walked in their order, too.
ALTER TABLE task_domains ADD COLUMN submitted_ms INTEGER NOT NULL DEFAULT 0;
UPDATE task_domains SET submitted_ms = (SELECT submitted_ms FROM tasks WHERE id = task);
CREATE INDEX task_domains_by_time ON task_domains (domain, submitted_ms, task);

-- As are those of all an account's domains, and of its streams.
DROP INDEX domains_by_account;
CREATE INDEX domains_by_account ON domains (account, name);
CREATE INDEX streams_by_medium ON streams (account, media, number);

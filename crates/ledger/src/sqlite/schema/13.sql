-- Where the end of a task is told, until it is; and where those of an account are, if a submission says nothing.
CREATE TABLE task_notices (
    task INTEGER PRIMARY KEY REFERENCES tasks,
    url TEXT NOT NULL
) STRICT;
CREATE TABLE account_notices (
    account TEXT PRIMARY KEY REFERENCES accounts,
    url TEXT NOT NULL
) STRICT, WITHOUT ROWID;

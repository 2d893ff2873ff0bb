-- Tasks whose order comes later: `seq` is 0 and `steps` empty until then.
ALTER TABLE tasks ADD COLUMN not_before_ms INTEGER;
ALTER TABLE tasks ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
-- Why a task failed before it had an order.
ALTER TABLE tasks ADD COLUMN reason TEXT;
CREATE INDEX tasks_pending ON tasks (not_before_ms, id) WHERE status = 'pending';

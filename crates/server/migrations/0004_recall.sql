-- More kinds of changes: units of a limit are wanted elsewhere, or came free. A CHECK cannot be changed, so the table is made anew.
CREATE TABLE changes_next (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    mark     INTEGER NOT NULL DEFAULT (abs(random() % 9007199254740991) + 1), -- tells it from the same number in another history
    kind     TEXT    NOT NULL CHECK (kind IN ('credential', 'credential_gone', 'consumer', 'consumer_out', 'tier', 'recall', 'freed')),
    subject  TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
INSERT INTO changes_next (revision, mark, kind, subject, at) SELECT revision, mark, kind, subject, at FROM changes;
-- Revisions go on where they were.
DELETE FROM sqlite_sequence WHERE name = 'changes_next';
INSERT INTO sqlite_sequence (name, seq) SELECT 'changes_next', seq FROM sqlite_sequence WHERE name = 'changes';
DROP TABLE changes;
ALTER TABLE changes_next RENAME TO changes;

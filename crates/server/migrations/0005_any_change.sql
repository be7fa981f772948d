-- Kinds of changes are the program's words: a CHECK would have to be made anew, with the table, for each new one.
CREATE TABLE changes_next (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    mark     INTEGER NOT NULL DEFAULT (abs(random() % 9007199254740991) + 1), -- tells it from the same number in another history
    kind     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
INSERT INTO changes_next (revision, mark, kind, subject, at) SELECT revision, mark, kind, subject, at FROM changes;
-- Revisions go on where they were.
DELETE FROM sqlite_sequence WHERE name = 'changes_next';
INSERT INTO sqlite_sequence (name, seq) SELECT 'changes_next', seq FROM sqlite_sequence WHERE name = 'changes';
DROP TABLE changes;
ALTER TABLE changes_next RENAME TO changes;

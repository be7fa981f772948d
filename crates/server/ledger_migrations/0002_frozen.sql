-- That the ledger forgot what it had answered: a backup was put in its place, or a disk lied. Windows that began until then grant nothing
-- until an operator says that they may.
CREATE TABLE frozen (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at       INTEGER NOT NULL,
    reopened INTEGER NOT NULL -- all may grant again
) STRICT;

-- Consumers whose windows may grant again while the others' may not.
CREATE TABLE reopened (
    consumer TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The highest limit that was in force in a row's window when somebody asked from it; 0: not known.
ALTER TABLE rows ADD COLUMN highest INTEGER NOT NULL DEFAULT 0;
UPDATE rows SET highest = max(units, charged);

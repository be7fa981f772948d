-- The ledger of leases: a database of its own, so that what else is written cannot hold up grants.
-- Times are milliseconds since 1970, by the backend's clock.

-- What a quota of a consumer owes in a window. The row with the newest window of a consumer and limit is the one in force.
CREATE TABLE rows (
    seq           INTEGER PRIMARY KEY,
    consumer      TEXT    NOT NULL,
    name          TEXT    NOT NULL, -- the limit's
    organisation  TEXT    NOT NULL, -- the consumer's
    window_start  INTEGER NOT NULL,
    window_end    INTEGER NOT NULL,
    units         INTEGER NOT NULL, -- the limit when it was last asked from
    granted       INTEGER NOT NULL, -- in all; what was returned of it is granted - charged
    charged       INTEGER NOT NULL,
    held          INTEGER NOT NULL,
    overage       INTEGER NOT NULL,
    told_spent    INTEGER NOT NULL, -- somebody was told that all is spent, and not otherwise since
    recalled_at   INTEGER NOT NULL, -- when nodes were last told that units are wanted elsewhere; 0: never
    recalled_held INTEGER NOT NULL, -- what was held then
    swept         INTEGER NOT NULL DEFAULT 0, -- its leases are deleted
    UNIQUE (consumer, name, window_start),
    CHECK (window_start < window_end)
) STRICT;
CREATE INDEX rows_by_organisation ON rows (organisation);
CREATE INDEX rows_by_end ON rows (window_end);
CREATE INDEX rows_unswept ON rows (seq) WHERE swept = 0;

-- What an incarnation was granted from a row under one number: its open leases, and the newest one also when it is closed.
CREATE TABLE leases (
    row         INTEGER NOT NULL REFERENCES rows (seq),
    incarnation TEXT    NOT NULL,
    lease       INTEGER NOT NULL,
    asked       INTEGER NOT NULL, -- the number of the newest ask
    granted     INTEGER NOT NULL,
    returned    INTEGER NOT NULL,
    newest      INTEGER NOT NULL, -- what the newest ask was granted
    held        INTEGER NOT NULL,
    asked_at    INTEGER NOT NULL,
    lasts       INTEGER NOT NULL, -- in how many milliseconds its holder should speak again
    closed      INTEGER NOT NULL,
    PRIMARY KEY (row, incarnation, lease)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_open ON leases (incarnation) WHERE closed = 0;

-- Incarnations of which an operator said that their process is gone: they are granted nothing any more.
CREATE TABLE fenced (
    incarnation TEXT    NOT NULL PRIMARY KEY,
    at          INTEGER NOT NULL,
    principal   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Reports whose overages were applied: the newest of each incarnation.
CREATE TABLE overages (
    incarnation TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (incarnation, sequence)
) STRICT, WITHOUT ROWID;

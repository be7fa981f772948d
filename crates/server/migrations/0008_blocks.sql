-- Who is blocked, and who is never blocked automatically. Blocks of addresses and approvals of them concern all organisations: they have none.
CREATE TABLE blocks (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    subject      TEXT    NOT NULL,           -- `address:192.0.2.0/24`, `consumer:<id>`, `credential:<id>`
    effect       TEXT    NOT NULL CHECK (effect IN ('unknown', 'all', 'approve')),
    reason       TEXT    NOT NULL,           -- a signal's code, or an operator's words
    score        INTEGER NOT NULL,
    organisation TEXT    REFERENCES organisations (id),
    origin       TEXT    NOT NULL,           -- the principal, or `node:<credential>`
    automatic    INTEGER NOT NULL,
    shadow       INTEGER NOT NULL,           -- told of, not in force
    repeats      INTEGER NOT NULL,
    begins_at    INTEGER NOT NULL,
    ends_at      INTEGER,
    lifted_at    INTEGER,
    lifted_by    TEXT,
    over         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX blocks_by_subject ON blocks (subject, seq);
CREATE INDEX blocks_live ON blocks (seq) WHERE over = 0;
CREATE INDEX blocks_by_origin ON blocks (origin, begins_at) WHERE automatic = 1;

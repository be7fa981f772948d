-- People who sign in. One who is deleted stays as an id, so that it is known who did what.
CREATE TABLE users (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    organisation TEXT    REFERENCES organisations (id), -- none: all
    consumer     TEXT    REFERENCES consumers (id),     -- a developer's
    name         TEXT    NOT NULL,
    email        TEXT,
    email_key    TEXT    UNIQUE, -- what makes two addresses the same
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'developer', 'viewer')),
    pepper       INTEGER, -- of the password's hash, which is argon2id's; none: no password signs in
    hash         BLOB,
    verified     INTEGER NOT NULL, -- whether somebody reads what is sent to the address
    disabled     INTEGER NOT NULL,
    deleted_at   INTEGER,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    CHECK ((pepper IS NULL) = (hash IS NULL))
) STRICT;
CREATE INDEX users_by_organisation ON users (organisation);

-- `hash` is that of the word in the browser's cookie.
CREATE TABLE sessions (
    seq        INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    id         TEXT    NOT NULL UNIQUE,
    user       TEXT    NOT NULL REFERENCES users (id),
    agent      TEXT    NOT NULL, -- what the browser calls itself
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL  -- however often it is used
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);
CREATE INDEX sessions_by_end ON sessions (ends_at);

-- Words that were sent to an address: whoever brings one back reads what is sent there, and chooses a password. One at a time.
CREATE TABLE proofs (
    hash    BLOB    NOT NULL PRIMARY KEY,
    user    TEXT    NOT NULL UNIQUE REFERENCES users (id),
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_by_end ON proofs (ends_at);

-- What is to leave the house: written together with what causes it, sent at least once. What is in it is sealed, and gone once it is sent.
CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    organisation TEXT    REFERENCES organisations (id), -- none: of the backend itself
    kind         TEXT    NOT NULL,
    sealed       BLOB,
    state        TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'dead')),
    attempts     INTEGER NOT NULL,
    error        TEXT, -- of the last attempt
    due_at       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_by_due ON outbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_by_organisation ON outbox (organisation);

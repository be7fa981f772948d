-- Times are milliseconds since 1970, by the backend's clock. `seq` is the order of making, which lists follow.

CREATE TABLE organisations (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tiers (
    seq          INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    limits       TEXT    NOT NULL, -- a JSON array, as in the plugin configuration
    self_service INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;

-- A deleted consumer stays, so that its id is never given again and what it used can be accounted for.
CREATE TABLE consumers (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    name         TEXT    NOT NULL,
    email        TEXT,
    tier         TEXT    REFERENCES tiers (name),
    disabled     INTEGER NOT NULL,
    deleted_at   INTEGER,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    CHECK ((tier IS NULL) = (deleted_at IS NOT NULL))
) STRICT;
CREATE INDEX consumers_by_organisation ON consumers (organisation);
CREATE INDEX consumers_by_tier ON consumers (tier);

CREATE TABLE api_keys (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    consumer     TEXT    NOT NULL REFERENCES consumers (id),
    label        TEXT    NOT NULL,
    scopes       TEXT    NOT NULL, -- a JSON array of strings
    hashing      TEXT    NOT NULL CHECK (hashing IN ('hmac-sha256', 'argon2id')),
    pepper       INTEGER NOT NULL, -- the version of the pepper
    hash         BLOB    NOT NULL,
    imported     INTEGER NOT NULL, -- found by its hash, because its id is not inside it
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,
    replaces     TEXT,
    replaced_by  TEXT,
    expiry_told  INTEGER NOT NULL DEFAULT 0, -- whether the feed has told of its expiry
    version      INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_by_organisation ON api_keys (organisation);
CREATE INDEX api_keys_by_consumer ON api_keys (consumer);
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash) WHERE imported = 1;
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL AND expiry_told = 0;

CREATE TABLE admin_keys (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    label        TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'developer', 'viewer')),
    organisation TEXT    REFERENCES organisations (id),
    consumer     TEXT    REFERENCES consumers (id),
    pepper       INTEGER NOT NULL,
    hash         BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER
) STRICT;

CREATE TABLE node_credentials (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    label      TEXT    NOT NULL,
    pepper     INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE incarnations (
    seq           INTEGER PRIMARY KEY,
    incarnation   TEXT    NOT NULL UNIQUE,
    credential    TEXT    NOT NULL REFERENCES node_credentials (id),
    node          TEXT    NOT NULL,
    module        TEXT    NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX incarnations_by_last_seen ON incarnations (last_seen_at);

-- Reports that were applied: the newest of each incarnation.
CREATE TABLE reports (
    incarnation TEXT    NOT NULL REFERENCES incarnations (incarnation) ON DELETE CASCADE,
    sequence    INTEGER NOT NULL,
    PRIMARY KEY (incarnation, sequence)
) STRICT, WITHOUT ROWID;

-- The change feed. Revisions are in the order of commits, because one transaction writes at a time, and without gaps.
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    mark     INTEGER NOT NULL DEFAULT (abs(random() % 9007199254740991) + 1), -- tells it from the same number in another history
    kind     TEXT    NOT NULL CHECK (kind IN ('credential', 'credential_gone', 'consumer', 'consumer_out', 'tier')),
    subject  TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

-- One row: what tells revision 0 from that of another history.
CREATE TABLE origin (
    mark INTEGER NOT NULL DEFAULT (abs(random() % 9007199254740991) + 1)
) STRICT;
INSERT INTO origin DEFAULT VALUES;

-- Answers to requests that may come again. `id` is a hash of the client's key, and `answer` is sealed under that key.
CREATE TABLE answers (
    id      BLOB    NOT NULL PRIMARY KEY,
    request BLOB    NOT NULL,
    answer  BLOB    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (at);

-- Who did what.
CREATE TABLE events (
    seq       INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    principal TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL
) STRICT;

-- One row, written to see whether that is possible.
CREATE TABLE probe (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

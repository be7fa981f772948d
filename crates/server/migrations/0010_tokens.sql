-- Keys that access tokens are signed with. One of them signs: that of the newest `begins_at` that has come. All are published until they end.
CREATE TABLE signing_keys (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE, -- `kid` of the tokens
    algorithm  TEXT    NOT NULL,
    public     TEXT    NOT NULL,        -- a JSON Web Key
    sealed     BLOB    NOT NULL,        -- the private key
    created_at INTEGER NOT NULL,
    begins_at  INTEGER NOT NULL,
    ends_at    INTEGER                  -- known once another has taken its place
) STRICT;

-- What follows from one exchange of an API key: one refresh token after the other, until it ends, is revoked, or its key ends. No token is kept:
-- each is made from the seed and its number, under a secret that is not here.
CREATE TABLE families (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    organisation TEXT    NOT NULL REFERENCES organisations (id),
    consumer     TEXT    NOT NULL REFERENCES consumers (id),
    credential   TEXT    NOT NULL REFERENCES api_keys (id),
    scopes       TEXT    NOT NULL,
    seed         BLOB    NOT NULL,
    number       INTEGER NOT NULL, -- of the token that is good
    moved_at     INTEGER NOT NULL, -- when it became that one
    created_at   INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL,
    revoked_at   INTEGER,
    reused       INTEGER NOT NULL DEFAULT 0 -- revoked because a token that was used up came again
) STRICT;
CREATE INDEX families_by_credential ON families (credential, seq);
CREATE INDEX families_by_organisation ON families (organisation);
CREATE INDEX families_by_consumer ON families (consumer);
CREATE INDEX families_by_end ON families (ends_at);

-- Access tokens (by `jti`) and families that nodes must refuse, for as long as any of their tokens could pass.
CREATE TABLE revocations (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    credential TEXT    NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_by_credential ON revocations (credential);
CREATE INDEX revocations_by_end ON revocations (ends_at);

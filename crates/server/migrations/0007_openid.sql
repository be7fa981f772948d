-- Whom we let say who somebody is.
CREATE TABLE identity_providers (
    seq           INTEGER PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
    label         TEXT    NOT NULL,
    issuer        TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    client_secret BLOB,             -- sealed; none: a public client
    scopes        TEXT    NOT NULL, -- a JSON array of strings
    new_users     TEXT    CHECK (new_users IN ('operator', 'developer', 'viewer')), -- the role of people we do not know; none: they get no account
    organisation  TEXT    REFERENCES organisations (id), -- that of new users
    disabled      INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

-- Who somebody is to an issuer. The address the issuer knows them by says nothing of who they are here.
CREATE TABLE identities (
    issuer    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    user      TEXT    NOT NULL REFERENCES users (id),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_user ON identities (user);

-- Sign-ins that are under way, each good once: what the browser will bring back, as digests, and what it must not know.
CREATE TABLE sign_ins (
    state     BLOB    NOT NULL PRIMARY KEY,
    browser   BLOB    NOT NULL, -- of the word in its cookie
    provider  TEXT    NOT NULL,
    sealed    BLOB    NOT NULL, -- nonce and code verifier
    return_to TEXT    NOT NULL,
    user      TEXT    REFERENCES users (id), -- who links an identity to themselves; none: somebody signs in
    ends_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_ins_by_end ON sign_ins (ends_at);

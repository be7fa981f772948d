-- Signatures that were used and that no other node may take, for as long as one would. Of no organisation: nodes serve all of them, and say
-- nothing but a hash.
CREATE TABLE nonces (
    sha256  BLOB    NOT NULL PRIMARY KEY,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_by_end ON nonces (ends_at);

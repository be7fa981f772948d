-- Since when versions of the backend's own secrets are in use: what was made before was made with an older one. The secrets are not here.
CREATE TABLE secret_versions (
    kind          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    first_used_at INTEGER NOT NULL,
    PRIMARY KEY (kind, version)
) STRICT, WITHOUT ROWID;

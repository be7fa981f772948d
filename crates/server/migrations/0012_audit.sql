-- The audit log: who did what, each entry chained to the one before. What was written before is chained when the store is next opened.
ALTER TABLE events RENAME TO events_unchained;

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY, -- without a gap, from 1
    at           INTEGER NOT NULL,
    principal    TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    organisation TEXT,                -- whose affair it is; none: of the backend, or of several
    detail       TEXT,                -- JSON: before and after, or counts
    person       TEXT,                -- whose key `sealed` is sealed with
    sealed       BLOB,                -- JSON: what says who somebody is
    hash         BLOB    NOT NULL,    -- covers the hash before and all of the above
    CHECK ((person IS NULL) = (sealed IS NULL))
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_principal ON events (principal, seq);
CREATE INDEX events_by_subject ON events (subject, seq);
CREATE INDEX events_by_action ON events (action, seq);
CREATE INDEX events_by_organisation ON events (organisation, seq) WHERE organisation IS NOT NULL;

CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
-- So nothing is put in the place of what is there, either.
CREATE TRIGGER events_are_appended BEFORE INSERT ON events WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- The keys of what says who somebody is. A deleted one erases that from all entries; the entries and their chain stay.
CREATE TABLE persons (
    name    TEXT NOT NULL PRIMARY KEY, -- as entries have it: `user:<id>`, `consumer:<id>`, `address:~<random>`
    address TEXT UNIQUE,               -- which address or network that is
    key     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

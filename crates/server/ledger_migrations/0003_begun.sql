-- The row's window has been in force: a clock that is put back does not change that. Rows are made shortly before.
ALTER TABLE rows ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE rows SET begun = window_start <= unixepoch() * 1000;

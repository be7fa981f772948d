-- Whose account a row is: a key has some of its own, in the name of its consumer, a slash and its id.
ALTER TABLE rows ADD COLUMN payer TEXT NOT NULL GENERATED ALWAYS AS (substr(consumer, 1, instr(consumer || '/', '/') - 1)) VIRTUAL;
CREATE INDEX rows_by_payer ON rows (payer);

-- What a key may spend beside what its consumer may: a JSON array of limits, as in tiers. One of the name `credits` is how often it may be used in all.
ALTER TABLE api_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '[]';
-- The first of the keys that replaced each other up to this one: they spend from one account. NULL: this is the first.
ALTER TABLE api_keys ADD COLUMN spends_as TEXT;
CREATE INDEX api_keys_by_account ON api_keys (spends_as) WHERE spends_as IS NOT NULL;

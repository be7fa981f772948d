-- What a consumer may spend of quotas in place of what its tier says: a JSON object of limits' names and units.
ALTER TABLE consumers ADD COLUMN overrides TEXT NOT NULL DEFAULT '{}';

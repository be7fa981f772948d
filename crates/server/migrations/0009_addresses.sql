-- From where the credentials of a consumer, and a key of its own, may be used: a JSON object of networks, `allow` and `deny`.
ALTER TABLE consumers ADD COLUMN addresses TEXT NOT NULL DEFAULT '{"allow":[],"deny":[]}';
ALTER TABLE api_keys ADD COLUMN addresses TEXT NOT NULL DEFAULT '{"allow":[],"deny":[]}';
-- What routes may ask for beside scopes: JSON arrays of strings. A key has those of its consumer that it was given.
ALTER TABLE consumers ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN roles TEXT NOT NULL DEFAULT '[]';

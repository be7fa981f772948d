-- What a key's owner signs requests with: sealed, and bound to the key's id. `signing` says when: never, where a route asks for it, or always.
ALTER TABLE api_keys ADD COLUMN signing TEXT NOT NULL DEFAULT 'none' CHECK (signing IN ('none', 'optional', 'required'));
ALTER TABLE api_keys ADD COLUMN signing_secret BLOB CHECK ((signing_secret IS NULL) = (signing = 'none'));

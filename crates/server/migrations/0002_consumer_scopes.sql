-- What the keys of a consumer may be used for at most: a JSON array of strings.
ALTER TABLE consumers ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';

-- Until now keys had any scopes that somebody gave them. A consumer gets those of its keys that go on; but not of keys that developers made
-- for themselves, nor of those that replaced such a key: nobody had granted these.
CREATE INDEX api_keys_by_replaced ON api_keys (replaces) WHERE replaces IS NOT NULL;
WITH RECURSIVE granted (id) AS (
    SELECT id FROM api_keys WHERE replaces IS NULL AND id NOT IN (
        -- The maker's id follows `admin_key:`; so it is found by its index.
        SELECT made.subject FROM events made JOIN admin_keys maker ON maker.id = substr(made.principal, 11)
        WHERE made.action = 'keys:create' AND made.principal GLOB 'admin_key:*' AND maker.role = 'developer'
    )
    UNION ALL
    SELECT newer.id FROM granted older JOIN api_keys newer ON newer.replaces = older.id
)
UPDATE consumers SET scopes = given.scopes FROM (
    SELECT consumer, json_group_array(scope) AS scopes FROM (
        SELECT DISTINCT k.consumer, scope.value AS scope FROM api_keys k, json_each(k.scopes) scope
        WHERE k.scopes <> '[]' AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > 1000 * unixepoch())
            AND k.id IN (SELECT id FROM granted)
        ORDER BY k.consumer, scope.value
    ) GROUP BY consumer
) given WHERE given.consumer = consumers.id;
DROP INDEX api_keys_by_replaced;

-- Nodes may have been told of scopes that a key no longer has.
INSERT INTO changes (kind, subject, at)
SELECT DISTINCT 'consumer_out', c.id, 1000 * unixepoch() FROM api_keys k, json_each(k.scopes) scope JOIN consumers c ON c.id = k.consumer
WHERE k.scopes <> '[]' AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > 1000 * unixepoch())
    AND scope.value NOT IN (SELECT value FROM json_each(c.scopes));

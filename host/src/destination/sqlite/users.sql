-- Schema 2: users, whom `gristmill users import` brings. The users that usage is kept by, who need not be among them, have
-- the table that was called so.

ALTER TABLE users RENAME TO usage_users;

-- Account fields of type `lookup_user` hold the id.
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  email TEXT,
  name TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX users_by_email ON users (lower(email));
CREATE INDEX users_by_name ON users (lower(name));

DROP VIEW usage_records;
-- `objects` is how many objects the value was made of; bucket, key, ETag and row are those of the newest. `user_id` is which of the
-- users its user is, where that is one of them.
CREATE VIEW usage_records AS
WITH counted AS (
  SELECT
    u.series, u.period_start, u.account, u.user, s.aggregate, s.divisor, s.value_type, s.metric, s.unit, s.period, s.product,
    count(*) AS objects,
    CASE
      WHEN s.aggregate = 'avg' THEN sum(u.value) * 1.0 / sum(u.samples)
      WHEN count(*) = 1 THEN max(u.value)
      WHEN s.aggregate IN ('sum', 'count') THEN sum(u.value)
      WHEN s.aggregate = 'max' THEN max(u.value)
      WHEN s.aggregate = 'min' THEN min(u.value)
      ELSE (
        SELECT l.value FROM usage_contributions l JOIN ingestions i ON i.id = l.ingestion
        WHERE l.series = u.series AND l.period_start = u.period_start AND l.account = u.account AND l.user = u.user AND l.counts
        ORDER BY l.last_date DESC, i.as_of DESC LIMIT 1)
    END AS value,
    CASE
      WHEN count(*) = 1 THEN max(u.ingestion)
      ELSE (
        SELECT l.ingestion FROM usage_contributions l JOIN ingestions i ON i.id = l.ingestion
        WHERE l.series = u.series AND l.period_start = u.period_start AND l.account = u.account AND l.user = u.user AND l.counts
        ORDER BY i.as_of DESC LIMIT 1)
    END AS newest
  FROM usage_contributions u JOIN series s ON s.id = u.series
  WHERE u.counts
  GROUP BY u.series, u.period_start, u.account, u.user
)
SELECT
  o.account_id, o.crm_id, o.name, o.domains, w.value AS user,
  p.name AS product, c.metric, c.unit, c.period,
  date(c.period_start * 86400, 'unixepoch') AS period_start,
  CASE WHEN c.value_type = 'decimal' AND c.aggregate <> 'count' THEN c.value * 1.0 / c.divisor ELSE c.value END AS value,
  c.aggregate, c.objects,
  k.integration, k.bucket, k.key, i.etag, i.generation, i.effective_time AS as_of,
  CASE w.kind
    WHEN 'id' THEN (SELECT n.id FROM users n WHERE n.id = w.value)
    WHEN 'email' THEN (SELECT CASE count(*) WHEN 1 THEN min(n.id) END FROM users n WHERE lower(n.email) = lower(w.value))
    ELSE (SELECT CASE count(*) WHEN 1 THEN min(n.id) END FROM users n WHERE lower(n.name) = lower(w.value))
  END AS user_id
FROM counted c
JOIN account_overview o ON o.account_id = c.account
JOIN products p ON p.id = c.product
JOIN ingestions i ON i.id = c.newest
JOIN source_keys k ON k.id = i.source_key
LEFT JOIN usage_users w ON w.id = c.user;

PRAGMA user_version = 2;

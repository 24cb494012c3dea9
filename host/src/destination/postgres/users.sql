-- Schema 2: users, whom `gristmill users import` brings. The users that usage is kept by, who need not be among them, have
-- the table that was called so.

ALTER TABLE users RENAME TO usage_users;
ALTER INDEX users_pkey RENAME TO usage_users_pkey;

CREATE TABLE users (
  tenant integer NOT NULL REFERENCES tenants (id),
  id text COLLATE "C" NOT NULL,
  email text COLLATE "C",
  name text COLLATE "C",
  PRIMARY KEY (tenant, id)
);
CREATE INDEX users_by_email ON users (tenant, lower(email));
CREATE INDEX users_by_name ON users (tenant, lower(name));
COMMENT ON TABLE users IS 'Who there is, as gristmill users import said last. Account fields of type lookup_user hold the id.';

CREATE OR REPLACE VIEW usage_records AS
WITH counted AS (
  SELECT
    u.series, u.period_start, u.account, u.user_id, count(*) AS objects,
    CASE s.aggregate
      WHEN 'avg' THEN sum(u.value) / sum(u.samples)
      WHEN 'max' THEN max(u.value)
      WHEN 'min' THEN min(u.value)
      WHEN 'last' THEN (array_agg(u.value ORDER BY u.last_date DESC NULLS LAST, i.as_of DESC))[1]
      ELSE sum(u.value)
    END AS value,
    CASE s.aggregate
      WHEN 'max' THEN max(u.text_value)
      WHEN 'min' THEN min(u.text_value)
      WHEN 'last' THEN (array_agg(u.text_value ORDER BY u.last_date DESC NULLS LAST, i.as_of DESC))[1]
    END AS text_value,
    (array_agg(u.ingestion ORDER BY i.as_of DESC))[1] AS newest
  FROM usage_contributions u
  JOIN series s ON s.id = u.series
  JOIN ingestions i ON i.id = u.ingestion
  WHERE u.counts
  GROUP BY u.series, u.period_start, u.account, u.user_id, s.aggregate
)
SELECT
  o.tenant, o.account_id, o.crm_id, o.name, o.domains, w.value AS account_user,
  p.name AS product, s.metric, s.unit, s.period, c.period_start,
  trim_scale(c.value) AS value, c.text_value,
  s.aggregate, c.objects,
  k.integration, k.bucket, k.key, i.etag, i.generation, i.effective_time AS as_of,
  CASE w.kind
    WHEN 'id' THEN (SELECT n.id FROM users n WHERE n.tenant = w.tenant AND n.id = w.value)
    WHEN 'email' THEN (SELECT CASE count(*) WHEN 1 THEN min(n.id) END FROM users n WHERE n.tenant = w.tenant AND lower(n.email) = lower(w.value))
    ELSE (SELECT CASE count(*) WHEN 1 THEN min(n.id) END FROM users n WHERE n.tenant = w.tenant AND lower(n.name) = lower(w.value))
  END AS user_id
FROM counted c
JOIN series s ON s.id = c.series
JOIN account_overview o ON o.account_id = c.account
JOIN products p ON p.id = s.product
JOIN ingestions i ON i.id = c.newest
JOIN source_keys k ON k.id = i.source_key
LEFT JOIN usage_users w ON w.id = c.user_id;
COMMENT ON COLUMN usage_records.user_id IS 'Which of the users the account''s user is, where that is one of them.';

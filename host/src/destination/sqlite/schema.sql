-- Schema 1 of a tenant's store. Dates are days and times are text in UTC; the views at the end are for people.
--
-- Foreign keys stand on the small tables only: in the four contribution tables a check of three parents a row would
-- cost more than the row, and nothing but a merge writes them.

-- One row an identity that was confirmed. `as_of` orders all writes: bytes that compare as (effective time, key,
-- arrival, generation), then integration and dedup key so that two integrations never tie.
CREATE TABLE ingestions (
  id INTEGER PRIMARY KEY,
  integration TEXT NOT NULL,
  dedup_key TEXT NOT NULL,
  generation INTEGER NOT NULL,
  source_key INTEGER NOT NULL REFERENCES source_keys (id),
  etag TEXT NOT NULL,
  size INTEGER NOT NULL,
  last_modified TEXT NOT NULL,
  effective_time TEXT NOT NULL,
  arrival INTEGER NOT NULL,
  as_of BLOB NOT NULL UNIQUE,
  mapping TEXT NOT NULL,
  content TEXT NOT NULL,
  confirmed_at TEXT NOT NULL,
  -- The generation of the same object, or the file with the same rows mended anew, that took the place of this one.
  replaced_by INTEGER REFERENCES ingestions (id),
  -- The ingestion that this one's rows join, where they are mended rejects: its object's newest generation. `as_of` then
  -- begins with that one's, so that it stands right behind it.
  origin INTEGER REFERENCES ingestions (id),
  rows_read INTEGER NOT NULL,
  rows_rejected INTEGER NOT NULL,
  -- What the merge did, as JSON.
  merged TEXT NOT NULL,
  UNIQUE (integration, dedup_key, generation)
) STRICT;

CREATE INDEX ingestions_by_origin ON ingestions (origin) WHERE origin IS NOT NULL;

-- Which rows of its origin an ingestion of mended rejects brought, each as the reject file names it.
CREATE TABLE mended_rows (
  ingestion INTEGER NOT NULL REFERENCES ingestions (id),
  origin_row TEXT NOT NULL,
  PRIMARY KEY (ingestion, origin_row)
) WITHOUT ROWID, STRICT;

-- A key of a bucket as one integration sees it; its versions are the objects.
CREATE TABLE source_keys (
  id INTEGER PRIMARY KEY,
  integration TEXT NOT NULL,
  connection TEXT NOT NULL,
  bucket TEXT NOT NULL,
  key TEXT NOT NULL,
  UNIQUE (integration, connection, bucket, key)
) STRICT;

-- Tables of an ingestion: row r of table t is position `first_position + r`.
CREATE TABLE ingestion_tables (
  ingestion INTEGER NOT NULL REFERENCES ingestions (id),
  table_index INTEGER NOT NULL,
  first_position INTEGER NOT NULL,
  PRIMARY KEY (ingestion, table_index)
) WITHOUT ROWID, STRICT;

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  created_by INTEGER NOT NULL REFERENCES ingestions (id) DEFERRABLE INITIALLY DEFERRED,
  created_at TEXT NOT NULL
) STRICT;

-- What identifiers are compared with. `kind` is crm_id, domain or name, or normalized_name: a name in small letters,
-- without accents and punctuation. An account may have several of each. Keys are never taken away, so their set does
-- not depend on the order of files.
CREATE TABLE account_keys (
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  account INTEGER NOT NULL REFERENCES accounts (id),
  PRIMARY KEY (kind, value, account)
) WITHOUT ROWID, STRICT;
CREATE INDEX account_keys_by_account ON account_keys (account, kind, value);

-- `described_by` is the as_of of the ingestion whose description of the field stands here: the newest.
CREATE TABLE fields (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  value_type TEXT NOT NULL,
  semantic TEXT NOT NULL,
  unit TEXT,
  write_mode TEXT NOT NULL,
  described_by BLOB NOT NULL
) STRICT;

-- Which accounts an ingestion brought fields for, and from which of its rows last.
CREATE TABLE account_records (
  ingestion INTEGER NOT NULL,
  account INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (ingestion, account)
) WITHOUT ROWID, STRICT;

-- The truth about account fields: what each ingestion said. `clears`: what was there before is erased.
-- `write_mode`: 0 overwrite, 1 if_empty, 2 append.
CREATE TABLE account_contributions (
  field INTEGER NOT NULL,
  account INTEGER NOT NULL,
  ingestion INTEGER NOT NULL,
  value ANY,
  clears INTEGER NOT NULL,
  write_mode INTEGER NOT NULL,
  PRIMARY KEY (field, account, ingestion)
) WITHOUT ROWID, STRICT;

-- The projection of the contributions: the value that counts now, and who gave it. A null was erased.
CREATE TABLE account_values (
  field INTEGER NOT NULL,
  account INTEGER NOT NULL,
  value ANY,
  ingestion INTEGER NOT NULL,
  PRIMARY KEY (field, account)
) WITHOUT ROWID, STRICT;

CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- One metric of a product over one kind of period. Values of a decimal series are whole numbers: divide by `divisor`.
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  product INTEGER NOT NULL REFERENCES products (id),
  metric TEXT NOT NULL,
  period TEXT NOT NULL,
  unit TEXT,
  value_type TEXT NOT NULL,
  divisor INTEGER NOT NULL,
  aggregate TEXT NOT NULL,
  repeat TEXT NOT NULL,
  described_by BLOB NOT NULL,
  UNIQUE (product, metric, period)
) STRICT;

-- `kind` is id, email or name. Usage without a user stands under user 0.
CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  UNIQUE (kind, value)
) STRICT;

-- The truth about usage, and its projection in one: each ingestion's aggregate for a usage record, and whether it counts.
-- `value` is the sum for `avg` and the number of values for `count`; `samples` is how many values it was made of;
-- `last_date` orders `last`. `adds`: 0 replaces what is older, 1 adds to it.
-- The key begins with series and period because a file brings few of them: its records lie together.
CREATE TABLE usage_contributions (
  series INTEGER NOT NULL,
  period_start INTEGER NOT NULL,
  account INTEGER NOT NULL,
  user INTEGER NOT NULL,
  ingestion INTEGER NOT NULL,
  value ANY,
  samples INTEGER NOT NULL,
  last_date INTEGER NOT NULL,
  position INTEGER NOT NULL,
  adds INTEGER NOT NULL,
  counts INTEGER NOT NULL,
  PRIMARY KEY (series, period_start, account, user, ingestion)
) WITHOUT ROWID, STRICT;

-- Which parts of the usage an ingestion touched, so that a replay finds its contributions.
CREATE TABLE ingestion_periods (
  ingestion INTEGER NOT NULL,
  series INTEGER NOT NULL,
  period_start INTEGER NOT NULL,
  PRIMARY KEY (ingestion, series, period_start)
) WITHOUT ROWID, STRICT;

CREATE TABLE rejects (
  ingestion INTEGER NOT NULL REFERENCES ingestions (id),
  number INTEGER NOT NULL,
  table_index INTEGER NOT NULL,
  row_index INTEGER NOT NULL,
  line INTEGER NOT NULL,
  column_name TEXT,
  value TEXT,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  -- Which row of which object it was first, as the reject file says it.
  origin_row TEXT NOT NULL,
  PRIMARY KEY (ingestion, number)
) WITHOUT ROWID, STRICT;

CREATE VIEW account_overview AS
SELECT
  a.id AS account_id,
  (SELECT min(k.value) FROM account_keys k WHERE k.account = a.id AND k.kind = 'crm_id') AS crm_id,
  (SELECT min(k.value) FROM account_keys k WHERE k.account = a.id AND k.kind = 'name') AS name,
  (SELECT group_concat(o.value, ', ') FROM
    (SELECT k.value FROM account_keys k WHERE k.account = a.id AND k.kind = 'domain' ORDER BY k.value) o) AS domains,
  a.created_at
FROM accounts a;

CREATE VIEW account_field_values AS
SELECT
  o.account_id, o.crm_id, o.name, o.domains,
  f.key AS field, f.value_type, f.semantic, f.unit, v.value,
  s.integration, s.bucket, s.key, i.etag, i.generation, i.effective_time AS as_of
FROM account_overview o
CROSS JOIN fields f
JOIN account_values v ON v.field = f.id AND v.account = o.account_id
JOIN ingestions i ON i.id = v.ingestion
JOIN source_keys s ON s.id = i.source_key
WHERE v.value IS NOT NULL;

-- `objects` is how many objects the value was made of; bucket, key, ETag and row are those of the newest.
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
  k.integration, k.bucket, k.key, i.etag, i.generation, i.effective_time AS as_of
FROM counted c
JOIN account_overview o ON o.account_id = c.account
JOIN products p ON p.id = c.product
JOIN ingestions i ON i.id = c.newest
JOIN source_keys k ON k.id = i.source_key
LEFT JOIN users w ON w.id = c.user;

CREATE VIEW ingestion_history AS
SELECT
  i.id AS ingestion, i.confirmed_at, k.integration, k.connection, k.bucket, k.key, i.etag, i.generation, i.size,
  i.last_modified, i.effective_time, i.arrival, i.replaced_by, i.origin AS mends,
  i.rows_read, i.rows_rejected,
  json_extract(i.merged, '$.matched') AS matched,
  json_extract(i.merged, '$.created') AS created,
  json_extract(i.merged, '$.updated') AS updated,
  json_extract(i.merged, '$.unchanged') AS unchanged,
  json_extract(i.merged, '$.unmatched') AS unmatched,
  json_extract(i.merged, '$.ambiguous') AS ambiguous,
  json_extract(i.merged, '$.usage_values') AS usage_values,
  json_extract(i.merged, '$.usage_records') AS usage_records,
  (SELECT count(*) FROM rejects r WHERE r.ingestion = i.id) AS rejects,
  i.mapping, i.content
FROM ingestions i
JOIN source_keys k ON k.id = i.source_key;

CREATE VIEW rejected_rows AS
SELECT
  k.integration, k.bucket, k.key, i.etag, r.table_index, r.line, r.column_name, r.value, r.code, r.message
FROM rejects r
JOIN ingestions i ON i.id = r.ingestion
JOIN source_keys k ON k.id = i.source_key;

PRAGMA user_version = 1;
PRAGMA application_id = 1198682989;

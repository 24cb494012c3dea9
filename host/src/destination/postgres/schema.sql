-- Schema 1. Everything stands in one schema of the database, which the search path leads to; tenants are kept apart by
-- the column `tenant`. The views at the end are for people, and so are the comments.
--
-- Texts compare by their bytes (collation "C"), so that order and uniqueness are the same in every database.
--
-- Foreign keys stand on the small tables only: in the four contribution tables a check of three parents a row would
-- cost more than the row, and nothing but a merge writes them.

CREATE TABLE tenants (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE tenants IS 'Whose accounts. Merges of one tenant take turns by locking its row.';

CREATE TABLE source_keys (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant integer NOT NULL REFERENCES tenants (id),
  integration text COLLATE "C" NOT NULL,
  connection text COLLATE "C" NOT NULL,
  bucket text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  UNIQUE (tenant, integration, connection, bucket, key)
);
COMMENT ON TABLE source_keys IS 'A key of a bucket as one integration sees it; its versions are the objects.';

CREATE TABLE ingestions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant integer NOT NULL REFERENCES tenants (id),
  integration text COLLATE "C" NOT NULL,
  dedup_key text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  source_key bigint NOT NULL REFERENCES source_keys (id),
  etag text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  last_modified timestamptz NOT NULL,
  effective_time timestamptz NOT NULL,
  arrival bigint NOT NULL,
  as_of bytea NOT NULL,
  mapping text COLLATE "C" NOT NULL,
  content text COLLATE "C" NOT NULL,
  confirmed_at timestamptz NOT NULL DEFAULT now(),
  replaced_by bigint REFERENCES ingestions (id),
  origin bigint REFERENCES ingestions (id),
  rows_read bigint NOT NULL DEFAULT 0,
  rows_rejected bigint NOT NULL DEFAULT 0,
  merged jsonb NOT NULL DEFAULT '{}',
  UNIQUE (tenant, integration, dedup_key, generation),
  UNIQUE (tenant, as_of)
);
COMMENT ON TABLE ingestions IS 'One row an identity (integration, dedup key, generation) that was confirmed. It is written in the transaction that merges the object''s records, so an identity is confirmed with all of them or not at all.';
COMMENT ON COLUMN ingestions.generation IS 'How often a person asked for the object again; 0 at first.';
COMMENT ON COLUMN ingestions.as_of IS 'Orders all writes: bytes that compare as (effective time, key, arrival, generation), then integration and dedup key so that two integrations never tie.';
COMMENT ON COLUMN ingestions.replaced_by IS 'The generation of the same object, or the file with the same rows mended anew, that took the place of this one.';
COMMENT ON COLUMN ingestions.origin IS 'The ingestion that this one''s rows join, where they are mended rejects: its object''s newest generation. as_of then begins with that one''s, so that it stands right behind it.';
COMMENT ON COLUMN ingestions.merged IS 'What the merge did.';

CREATE INDEX ingestions_by_origin ON ingestions (origin) WHERE origin IS NOT NULL;

CREATE TABLE mended_rows (
  ingestion bigint NOT NULL REFERENCES ingestions (id),
  origin_row text COLLATE "C" NOT NULL
);
CREATE INDEX mended_rows_by_ingestion ON mended_rows (ingestion);
COMMENT ON TABLE mended_rows IS 'Which rows of its origin an ingestion of mended rejects brought, each as the reject file names it.';

CREATE TABLE ingestion_tables (
  ingestion bigint NOT NULL REFERENCES ingestions (id),
  table_index integer NOT NULL,
  first_position bigint NOT NULL,
  PRIMARY KEY (ingestion, table_index)
);
COMMENT ON TABLE ingestion_tables IS 'Tables of an ingestion: row r of table t is position first_position + r.';

CREATE SEQUENCE account_ids;
CREATE TABLE accounts (
  id bigint PRIMARY KEY DEFAULT nextval('account_ids'),
  tenant integer NOT NULL REFERENCES tenants (id),
  created_by bigint NOT NULL REFERENCES ingestions (id),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant, id)
);
ALTER SEQUENCE account_ids OWNED BY accounts.id;

CREATE TABLE account_keys (
  tenant integer NOT NULL,
  kind text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  account bigint NOT NULL,
  PRIMARY KEY (tenant, kind, value, account),
  FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, id)
);
CREATE INDEX account_keys_by_account ON account_keys (account);
COMMENT ON TABLE account_keys IS 'What identifiers are compared with. An account may have several keys of each kind. Keys are never taken away, so their set does not depend on the order of files.';
COMMENT ON COLUMN account_keys.kind IS 'crm_id, domain or name, or normalized_name: a name in small letters, without accents and punctuation.';

CREATE TABLE fields (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant integer NOT NULL REFERENCES tenants (id),
  key text COLLATE "C" NOT NULL,
  value_type text COLLATE "C" NOT NULL,
  semantic text COLLATE "C" NOT NULL,
  unit text COLLATE "C",
  write_mode text COLLATE "C" NOT NULL,
  described_by bytea NOT NULL,
  UNIQUE (tenant, key)
);
COMMENT ON COLUMN fields.described_by IS 'The as_of of the ingestion whose description of the field stands here: the newest.';

CREATE TABLE account_records (
  ingestion bigint NOT NULL,
  account bigint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (ingestion, account)
);
COMMENT ON TABLE account_records IS 'Which accounts an ingestion brought fields for, and from which of its rows last.';

CREATE TABLE account_contributions (
  field bigint NOT NULL,
  account bigint NOT NULL,
  ingestion bigint NOT NULL,
  value text COLLATE "C",
  clears boolean NOT NULL,
  write_mode smallint NOT NULL,
  PRIMARY KEY (field, account, ingestion)
);
COMMENT ON TABLE account_contributions IS 'The truth about account fields: what each ingestion said.';
COMMENT ON COLUMN account_contributions.value IS 'As in account_values.';
COMMENT ON COLUMN account_contributions.clears IS 'What was there before is erased.';
COMMENT ON COLUMN account_contributions.write_mode IS '0 overwrite, 1 if_empty, 2 append.';

CREATE TABLE account_values (
  field bigint NOT NULL,
  account bigint NOT NULL,
  value text COLLATE "C",
  ingestion bigint NOT NULL,
  PRIMARY KEY (field, account)
);
COMMENT ON TABLE account_values IS 'The projection of account_contributions: the value that counts now, and who gave it. A null was erased.';
COMMENT ON COLUMN account_values.value IS 'As fields.value_type says: exact decimals without trailing zeros, booleans as 0 and 1, dates and times in ISO 8601 (UTC), lists as a JSON array. U+0000, which PostgreSQL cannot hold, stands as U+FFFD.';

CREATE TABLE products (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant integer NOT NULL REFERENCES tenants (id),
  name text COLLATE "C" NOT NULL,
  UNIQUE (tenant, name)
);

CREATE TABLE series (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  product bigint NOT NULL REFERENCES products (id),
  metric text COLLATE "C" NOT NULL,
  period text COLLATE "C" NOT NULL,
  unit text COLLATE "C",
  value_type text COLLATE "C" NOT NULL,
  aggregate text COLLATE "C" NOT NULL,
  repeat text COLLATE "C" NOT NULL,
  described_by bytea NOT NULL,
  UNIQUE (product, metric, period)
);
COMMENT ON TABLE series IS 'One metric of a product over one kind of period.';
COMMENT ON COLUMN series.repeat IS 'replace: the newest object counts; add: every object''s latest version counts.';

CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant integer NOT NULL REFERENCES tenants (id),
  kind text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  UNIQUE (tenant, kind, value)
);
COMMENT ON TABLE users IS 'kind is id, email or name. Usage without a user stands under user 0.';

CREATE TABLE usage_contributions (
  series bigint NOT NULL,
  period_start date NOT NULL,
  account bigint NOT NULL,
  user_id bigint NOT NULL,
  ingestion bigint NOT NULL,
  value numeric,
  text_value text COLLATE "C",
  samples bigint NOT NULL,
  last_date date,
  position bigint NOT NULL,
  adds boolean NOT NULL,
  counts boolean NOT NULL,
  PRIMARY KEY (series, period_start, account, user_id, ingestion)
);
COMMENT ON TABLE usage_contributions IS 'The truth about usage, and its projection in one: each ingestion''s aggregate for a usage record, and whether it counts. The key begins with series and period because a file brings few of them: its records lie together.';
COMMENT ON COLUMN usage_contributions.value IS 'The sum for avg, the number of values for count; null where the value is a text.';
COMMENT ON COLUMN usage_contributions.samples IS 'How many values it was made of.';
COMMENT ON COLUMN usage_contributions.last_date IS 'Orders the aggregate last.';
COMMENT ON COLUMN usage_contributions.adds IS 'Whether it adds to what is older or replaces it.';

CREATE TABLE ingestion_periods (
  ingestion bigint NOT NULL,
  series bigint NOT NULL,
  period_start date NOT NULL,
  PRIMARY KEY (ingestion, series, period_start)
);
COMMENT ON TABLE ingestion_periods IS 'Which parts of the usage an ingestion touched, so that a replay finds its contributions.';

CREATE TABLE rejects (
  ingestion bigint NOT NULL REFERENCES ingestions (id),
  number bigint NOT NULL,
  table_index bigint NOT NULL,
  row_index bigint NOT NULL,
  line bigint NOT NULL,
  column_name text COLLATE "C",
  value text COLLATE "C",
  code text COLLATE "C" NOT NULL,
  message text COLLATE "C" NOT NULL,
  origin_row text COLLATE "C" NOT NULL,
  PRIMARY KEY (ingestion, number)
);
COMMENT ON TABLE rejects IS 'Rows that were refused, with each reason.';
COMMENT ON COLUMN rejects.origin_row IS 'Which row of which object it was first, as the reject file says it.';

CREATE FUNCTION list_union(one text, other text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT '[' || coalesce(string_agg(DISTINCT to_json(item)::text COLLATE "C", ',' ORDER BY to_json(item)::text COLLATE "C"), '') || ']'
  FROM (
    SELECT json_array_elements_text(coalesce(one, '[]')::json) AS item
    UNION ALL
    SELECT json_array_elements_text(coalesce(other, '[]')::json)
  ) items
$$;
COMMENT ON FUNCTION list_union IS 'Two lists as one, in order and without doubles.';

CREATE VIEW account_overview AS
SELECT
  t.name AS tenant,
  a.id AS account_id,
  (SELECT min(k.value) FROM account_keys k WHERE k.account = a.id AND k.kind = 'crm_id') AS crm_id,
  (SELECT min(k.value) FROM account_keys k WHERE k.account = a.id AND k.kind = 'name') AS name,
  (SELECT string_agg(k.value, ', ' ORDER BY k.value) FROM account_keys k WHERE k.account = a.id AND k.kind = 'domain') AS domains,
  a.created_at
FROM accounts a
JOIN tenants t ON t.id = a.tenant;
COMMENT ON VIEW account_overview IS 'One row an account, with what it is known by.';

CREATE VIEW account_field_values AS
SELECT
  o.tenant, o.account_id, o.crm_id, o.name, o.domains,
  f.key AS field, f.value_type, f.semantic, f.unit, v.value,
  CASE WHEN f.value_type IN ('integer', 'float', 'decimal', 'boolean') THEN v.value::numeric END AS number,
  s.integration, s.bucket, s.key, i.etag, i.generation, i.effective_time AS as_of
FROM account_overview o
JOIN account_values v ON v.account = o.account_id
JOIN fields f ON f.id = v.field
JOIN ingestions i ON i.id = v.ingestion
JOIN source_keys s ON s.id = i.source_key
WHERE v.value IS NOT NULL;
COMMENT ON VIEW account_field_values IS 'One row a field that an account has, with where it came from.';
COMMENT ON COLUMN account_field_values.number IS 'The value of a field of numbers, to reckon with.';

CREATE VIEW usage_records AS
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
  k.integration, k.bucket, k.key, i.etag, i.generation, i.effective_time AS as_of
FROM counted c
JOIN series s ON s.id = c.series
JOIN account_overview o ON o.account_id = c.account
JOIN products p ON p.id = s.product
JOIN ingestions i ON i.id = c.newest
JOIN source_keys k ON k.id = i.source_key
LEFT JOIN users w ON w.id = c.user_id;
COMMENT ON VIEW usage_records IS 'One row a usage record: what an account, or one of its users, used of a product in a period.';
COMMENT ON COLUMN usage_records.account_user IS 'The user, where usage is kept by user.';
COMMENT ON COLUMN usage_records.text_value IS 'The value of a metric that is no number.';
COMMENT ON COLUMN usage_records.objects IS 'How many objects the value was made of; bucket, key and ETag are those of the newest.';

CREATE VIEW ingestion_history AS
SELECT
  t.name AS tenant,
  i.id AS ingestion, i.confirmed_at, k.integration, k.connection, k.bucket, k.key, i.etag, i.generation, i.size,
  i.last_modified, i.effective_time, i.arrival, i.replaced_by, i.origin AS mends,
  i.rows_read, i.rows_rejected,
  (i.merged ->> 'matched')::bigint AS matched,
  (i.merged ->> 'created')::bigint AS created,
  (i.merged ->> 'updated')::bigint AS updated,
  (i.merged ->> 'unchanged')::bigint AS unchanged,
  (i.merged ->> 'unmatched')::bigint AS unmatched,
  (i.merged ->> 'ambiguous')::bigint AS ambiguous,
  (i.merged ->> 'usage_values')::bigint AS usage_values,
  (i.merged ->> 'usage_records')::bigint AS usage_records,
  (SELECT count(*) FROM rejects r WHERE r.ingestion = i.id) AS rejects,
  i.mapping, i.content
FROM ingestions i
JOIN source_keys k ON k.id = i.source_key
JOIN tenants t ON t.id = i.tenant;
COMMENT ON VIEW ingestion_history IS 'One row an object that was taken, with what became of its rows.';

CREATE VIEW rejected_rows AS
SELECT
  t.name AS tenant,
  k.integration, k.bucket, k.key, i.etag, r.table_index, r.line, r.column_name, r.value, r.code, r.message
FROM rejects r
JOIN ingestions i ON i.id = r.ingestion
JOIN source_keys k ON k.id = i.source_key
JOIN tenants t ON t.id = i.tenant;
COMMENT ON VIEW rejected_rows IS 'Rows that were refused, with the object they came from.';

-- What every connection has to itself: the records of the object it stages, and what its merge works out. Temporary
-- tables are neither logged nor seen by anyone else, and vanish with their connection.

-- Each combination of identifier values once: `layout` numbers the lists of strategies, a blank key is null. Where keys are
-- names, `names` has their normalized forms at the same places.
CREATE TEMPORARY TABLE staged_identifiers (identifier bigint NOT NULL, layout integer NOT NULL, keys text[] COLLATE "C" NOT NULL, names text[] COLLATE "C");
-- Each account record.
CREATE TEMPORARY TABLE staged_accounts (position bigint NOT NULL, identifier bigint NOT NULL);
-- Each of its values; a null erases what is stored.
CREATE TEMPORARY TABLE staged_values (position bigint NOT NULL, identifier bigint NOT NULL, field integer NOT NULL, value text COLLATE "C");
-- Each usage value, in the column of its kind.
CREATE TEMPORARY TABLE staged_usage (
  position bigint NOT NULL, identifier bigint NOT NULL, user_number bigint NOT NULL, series integer NOT NULL,
  period_start date NOT NULL, day date NOT NULL, whole bigint, fraction double precision, text_value text COLLATE "C");
CREATE TEMPORARY TABLE staged_users (user_number bigint NOT NULL, kind text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL);
-- Rows that were rejected after they had been staged.
CREATE TEMPORARY TABLE staged_rejected (position bigint NOT NULL);
-- Each reason why a row was refused.
CREATE TEMPORARY TABLE staged_rejects (
  number bigint NOT NULL, table_index bigint NOT NULL, row_index bigint NOT NULL, line bigint NOT NULL,
  column_name text, value text, code text NOT NULL, message text NOT NULL, origin_row text COLLATE "C" NOT NULL);
-- Each row that stands for a refused one of another object.
CREATE TEMPORARY TABLE staged_mended (position bigint NOT NULL, origin_row text COLLATE "C" NOT NULL);

-- The account of each identifier, or all of them, or what stands there instead: 0 if several match, -1 if none does, -2
-- if two strategies match different ones.
CREATE TEMPORARY TABLE merge_resolved (identifier bigint NOT NULL, account bigint NOT NULL);
-- The accounts of the names that are similar to each name.
CREATE TEMPORARY TABLE merge_similar (name text COLLATE "C" NOT NULL, account bigint NOT NULL);
CREATE TEMPORARY TABLE merge_created (layout integer NOT NULL, strategy integer NOT NULL, account bigint NOT NULL, keys text[] COLLATE "C" NOT NULL);
-- The field of each staged field.
CREATE TEMPORARY TABLE merge_fields (staged integer NOT NULL, field bigint NOT NULL, write_mode smallint NOT NULL);
-- The user that each text of a staged field means, and none where that is no one.
CREATE TEMPORARY TABLE merge_lookups (field integer NOT NULL, value text COLLATE "C" NOT NULL, user_id text COLLATE "C");
-- What this object says of each value.
CREATE TEMPORARY TABLE merge_contributions (
  field bigint NOT NULL, account bigint NOT NULL, value text COLLATE "C", clears boolean NOT NULL, write_mode smallint NOT NULL,
  PRIMARY KEY (field, account));
-- Accounts that there were before and of which a value changed.
CREATE TEMPORARY TABLE merge_changed (account bigint NOT NULL);
-- Values to be worked out anew, and what they are.
CREATE TEMPORARY TABLE merge_touched (field bigint NOT NULL, account bigint NOT NULL);
CREATE TEMPORARY TABLE merge_folded (field bigint NOT NULL, account bigint NOT NULL, value text COLLATE "C", ingestion bigint NOT NULL);
-- The series of each staged series; `unit` is what one whole number of its values stands for.
CREATE TEMPORARY TABLE merge_series (staged integer NOT NULL, series bigint NOT NULL, unit numeric NOT NULL, aggregate text NOT NULL, adds boolean NOT NULL);
CREATE TEMPORARY TABLE merge_users (user_number bigint NOT NULL, user_id bigint NOT NULL);
-- What this object says of each usage record.
CREATE TEMPORARY TABLE merge_usage (
  series bigint NOT NULL, period_start date NOT NULL, account bigint NOT NULL, user_id bigint NOT NULL,
  value numeric, text_value text COLLATE "C", samples bigint NOT NULL, last_date date, position bigint NOT NULL, adds boolean NOT NULL);
-- Usage records of which it is to be worked out anew what counts.
CREATE TEMPORARY TABLE merge_touched_usage (series bigint NOT NULL, period_start date NOT NULL, account bigint NOT NULL, user_id bigint NOT NULL);

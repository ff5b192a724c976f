-- One of everything that pg_dump writes and that a copy of a database may lose. A psql script:
-- newer features are guarded by the server's version. It is run by a superuser, with
-- ON_ERROR_STOP, into an empty database.
SELECT current_setting('server_version_num')::int >= 140000 AS v14,
       current_setting('server_version_num')::int >= 150000 AS v15,
       current_setting('server_version_num')::int >= 170000 AS v17,
       current_setting('server_version_num')::int >= 180000 AS v18 \gset
SET client_min_messages = warning;

-- extensions, one in a schema of its own ---------------------------------------------------------
CREATE SCHEMA extensions;
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION pgcrypto WITH SCHEMA extensions;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION unaccent;
CREATE EXTENSION btree_gist;
CREATE EXTENSION ltree;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
COMMENT ON EXTENSION citext IS 'words that don''t care';

-- schemas -----------------------------------------------------------------------------------------
CREATE SCHEMA zoo AUTHORIZATION zoo_owner;
CREATE SCHEMA "Annexe ""Ü"" 1";
CREATE SCHEMA empty;
COMMENT ON SCHEMA zoo IS E'the main zoo\nwith two lines, ''quotes'' and \\ backslashes';
GRANT USAGE ON SCHEMA zoo TO zoo_reader;
GRANT USAGE, CREATE ON SCHEMA zoo TO zoo_writer WITH GRANT OPTION;
GRANT USAGE ON SCHEMA "Annexe ""Ü"" 1" TO PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- default ACLs: they apply to what is made below ---------------------------------------------------
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner GRANT SELECT ON TABLES TO zoo_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA zoo
  GRANT INSERT, UPDATE ON TABLES TO zoo_writer WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA zoo GRANT USAGE ON SEQUENCES TO zoo_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA zoo GRANT USAGE ON TYPES TO zoo_keeper;

-- types --------------------------------------------------------------------------------------------
CREATE COLLATION zoo."german phonebook" (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION zoo.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION zoo.plain (locale = 'C');
COMMENT ON COLLATION zoo.caseless IS 'ignores case';

CREATE TYPE zoo.mood AS ENUM ('sad', 'ok');
ALTER TYPE zoo.mood ADD VALUE 'happy';
ALTER TYPE zoo.mood ADD VALUE 'so-so' BEFORE 'ok';
ALTER TYPE zoo.mood ADD VALUE 'it''s "great"' AFTER 'happy';
CREATE TYPE zoo.shade AS ENUM ();
COMMENT ON TYPE zoo.mood IS 'how they feel';
CREATE TYPE zoo.cage AS (length numeric(6,2), width numeric(6,2), "Label" text COLLATE "C");
ALTER TYPE zoo.cage ADD ATTRIBUTE dropped int;
ALTER TYPE zoo.cage ADD ATTRIBUTE height real;
ALTER TYPE zoo.cage DROP ATTRIBUTE dropped;
COMMENT ON COLUMN zoo.cage."Label" IS 'written on it';
CREATE TYPE zoo.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE zoo.words AS RANGE (subtype = text, collation = "C");
CREATE DOMAIN zoo.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above CHECK (VALUE > 0);
CREATE DOMAIN zoo.email AS citext
  CONSTRAINT looks CHECK (VALUE OPERATOR(public.~) '^[^@]+@[^@]+$'::public.citext);
CREATE DOMAIN zoo.tags AS text[] CHECK (array_length(VALUE, 1) < 10);
CREATE DOMAIN zoo.loose AS text;
ALTER DOMAIN zoo.loose ADD CONSTRAINT short CHECK (length(VALUE) < 100) NOT VALID;
COMMENT ON DOMAIN zoo.positive IS 'more than nothing';
COMMENT ON CONSTRAINT above ON DOMAIN zoo.positive IS 'really more';
GRANT USAGE ON TYPE zoo.mood TO zoo_reader;
REVOKE USAGE ON TYPE zoo.cage FROM PUBLIC;
CREATE TYPE zoo.shell;
ALTER TYPE zoo.mood OWNER TO zoo_owner;
ALTER DOMAIN zoo.email OWNER TO zoo_owner;

-- sequences ----------------------------------------------------------------------------------------
CREATE SEQUENCE zoo.backwards AS smallint INCREMENT -3 MINVALUE -300 MAXVALUE 30 START 30 CYCLE CACHE 5;
CREATE SEQUENCE zoo.untouched START 42;
CREATE SEQUENCE zoo.exhausted MAXVALUE 2;
SELECT nextval('zoo.backwards'), nextval('zoo.exhausted'), nextval('zoo.exhausted');
SELECT setval('zoo.backwards', -12, false);
COMMENT ON SEQUENCE zoo.backwards IS 'counts down';
GRANT USAGE ON SEQUENCE zoo.backwards TO zoo_writer;
ALTER SEQUENCE zoo.backwards OWNER TO zoo_owner;

-- functions ----------------------------------------------------------------------------------------
CREATE FUNCTION zoo.add(a integer, b integer DEFAULT 1) RETURNS integer
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 + $2';
CREATE FUNCTION zoo.add(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT a || b $$;
CREATE FUNCTION zoo.feed(INOUT food text, OUT portions int, VARIADIC rest text[])
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = zoo, pg_temp SET work_mem = '8MB' COST 7 AS $body$
BEGIN
  -- with $$ inside, and a backslash \
  portions := cardinality(rest);
  food := food || E'\n';
END $body$;
CREATE FUNCTION zoo.many(n int) RETURNS TABLE (id int, "Name" text)
  LANGUAGE sql STABLE ROWS 5 LEAKPROOF AS 'SELECT i, i::text FROM generate_series(1, n) i';
CREATE FUNCTION zoo.on_change() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END';
CREATE FUNCTION zoo.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE PROCEDURE zoo.clean(INOUT n int) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE FUNCTION zoo.abs_cmp(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
  'SELECT pg_catalog.btint4cmp(pg_catalog.abs(a), pg_catalog.abs(b))';
CREATE FUNCTION zoo.same(a zoo.cage, b zoo.cage) RETURNS boolean LANGUAGE sql IMMUTABLE AS
  'SELECT a.length = b.length';
\if :v14
CREATE FUNCTION zoo.standard(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a * 2;
CREATE FUNCTION zoo.atomic(a int) RETURNS SETOF int LANGUAGE sql
  BEGIN ATOMIC SELECT zoo.standard(a); SELECT zoo.add(a, 2); END;
\endif
CREATE AGGREGATE zoo.total(integer) (
  sfunc = int4pl, stype = integer, initcond = '0', combinefunc = int4pl, parallel = safe);
\if :v14
CREATE AGGREGATE zoo.biggest(anycompatible)
  (sfunc = array_append, stype = anycompatiblearray, initcond = '{}');
\else
CREATE AGGREGATE zoo.biggest(anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');
\endif
CREATE AGGREGATE zoo.middle(float8 ORDER BY anyelement)
  (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
COMMENT ON FUNCTION zoo.add(integer, integer) IS 'adds';
COMMENT ON AGGREGATE zoo.total(integer) IS 'sums';
COMMENT ON PROCEDURE zoo.clean(integer) IS 'cleans';
GRANT EXECUTE ON FUNCTION zoo.add(integer, integer) TO zoo_reader;
REVOKE EXECUTE ON FUNCTION zoo.feed(text, text[]) FROM PUBLIC;
ALTER FUNCTION zoo.feed(text, text[]) OWNER TO zoo_owner;

-- operators, casts, languages, access methods ------------------------------------------------------
CREATE OPERATOR zoo.=== (FUNCTION = zoo.same, LEFTARG = zoo.cage, RIGHTARG = zoo.cage,
  COMMUTATOR = OPERATOR(zoo.===), RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR zoo.!!! (FUNCTION = pg_catalog.int4abs, RIGHTARG = integer);
CREATE OPERATOR FAMILY zoo.loners USING hash;
CREATE OPERATOR CLASS zoo.abs_ops FOR TYPE integer USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
  FUNCTION 1 zoo.abs_cmp(integer, integer);
COMMENT ON OPERATOR zoo.=== (zoo.cage, zoo.cage) IS 'as long';
COMMENT ON OPERATOR CLASS zoo.abs_ops USING btree IS 'without the sign';
CREATE FUNCTION zoo.mood_number(zoo.mood) RETURNS int LANGUAGE sql IMMUTABLE AS
  'SELECT length($1::text)';
CREATE CAST (zoo.mood AS integer) WITH FUNCTION zoo.mood_number(zoo.mood) AS ASSIGNMENT;
CREATE CAST (zoo.cage AS text) WITH INOUT;
COMMENT ON CAST (zoo.mood AS integer) IS 'letters';
CREATE FUNCTION zoo.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION zoo.validator(oid) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE zoolang HANDLER zoo.handler VALIDATOR zoo.validator;
COMMENT ON LANGUAGE zoolang IS 'as plpgsql';
CREATE CONVERSION zoo.westward FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD second_heap TYPE TABLE HANDLER heap_tableam_handler;

-- text search --------------------------------------------------------------------------------------
CREATE TEXT SEARCH DICTIONARY zoo.animals (TEMPLATE = simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION zoo.english (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION zoo.english ALTER MAPPING FOR asciiword WITH zoo.animals, english_stem;
ALTER TEXT SEARCH CONFIGURATION zoo.english DROP MAPPING FOR email;
COMMENT ON TEXT SEARCH CONFIGURATION zoo.english IS 'without mail';

-- a table with every type and every kind of awkward value ------------------------------------------
CREATE TABLE zoo.kinds (
  id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 10) PRIMARY KEY,
  t text, vc varchar(12), c char(4), n numeric(30, 5), r real, d double precision, b boolean,
  ba bytea, day date, stamp timestamptz, bare timestamp(3), clock timetz, gap interval, money money,
  u uuid, j json, jb jsonb, x xml, net inet, mac macaddr, bits bit varying(9), p point,
  arr int[], texts text[], mood zoo.mood, moods zoo.mood[], cage zoo.cage, cages zoo.cage[],
  span zoo.span, days daterange, pos zoo.positive, mail zoo.email, tags zoo.tags, h hstore, ci citext,
  path ltree, tv tsvector, tq tsquery, cls regclass, o oid, lsn pg_lsn, q "char"
);
INSERT INTO zoo.kinds (t, vc, c, n, r, d, b, ba, day, stamp, bare, clock, gap, money, u, j, jb, x,
  net, mac, bits, p, arr, texts, mood, moods, cage, cages, span, days, mail, tags, h, ci, path, tv,
  tq, cls, o, lsn, q)
VALUES
 (E'tab\there, newline\nhere, \\. and \\N, quote '' and "', '', 'ab', 12345678901234567890.12345,
  1.1, 0.1 + 0.2, true, '\x00ff5c27', '2024-02-29', '2024-02-29 23:59:59.999999+13', '1999-12-31 23:59:59.999',
  '12:00:00-07', '1 year -3 days 04:05:06.7', '$1,234.56', '00000000-0000-0000-0000-000000000001',
  '{"a" :  1, "a": 2}', '{"b": [1, null, "\u00fc"]}', '<a>ü</a>', '10.1.2.3/8', '08:00:2b:01:02:03',
  B'101', '(1.5,-2)', '[2:4]={1,NULL,3}', ARRAY['', 'NULL', NULL, 'a,b', '"', E'\\'], 'it''s "great"',
  '{sad,happy}', ROW(1.5, 2, E'a "b", (c)\n', 3), ARRAY[ROW(1, 2, NULL, 4)::zoo.cage],
  '[1.5,2.5)', '[2024-01-01,)', 'Me@Example.org', '{a,b}', 'a=>1, "b c"=>NULL', 'CaSe',
  'top.mid.leaf', to_tsvector('zoo.english', 'the quick foxes'), 'fox & !cat', 'zoo.kinds', 4294967295,
  '16/B374D848', '~'),
 ('-infinity and friends', NULL, NULL, 'NaN', 'Infinity', '-0', NULL, '', 'infinity', '-infinity',
  '0044-03-15 BC', NULL, '-1 mon', '-0.01', NULL, 'null', 'null', NULL, '::1', NULL, NULL, NULL, '{}',
  '{}', NULL, NULL, NULL, '{}', 'empty', '(,)', NULL, NULL, '', '', '', '', NULL, NULL, 0, '0/0', '');
INSERT INTO zoo.kinds (t, pos) SELECT repeat(md5(i::text), 200), i FROM generate_series(1, 200) i;
INSERT INTO zoo.kinds (t, ba) SELECT string_agg(md5(i::text), ''), decode(repeat('00ff', 100000), 'hex')
  FROM generate_series(1, 2000) i;
COMMENT ON TABLE zoo.kinds IS 'one of each';
COMMENT ON COLUMN zoo.kinds.t IS 'text; with ''quotes''';
COMMENT ON CONSTRAINT kinds_pkey ON zoo.kinds IS 'the key';
ALTER TABLE zoo.kinds OWNER TO zoo_owner;

-- columns: dropped, generated, identity, serial, storage -------------------------------------------
CREATE TABLE zoo.columns (
  gone int, id int GENERATED BY DEFAULT AS IDENTITY (MINVALUE -5 START 7 CYCLE), gone2 text,
  a int NOT NULL DEFAULT zoo.add(1, 2), twice int GENERATED ALWAYS AS (a * 2) STORED,
  "Order By" text COLLATE zoo."german phonebook" DEFAULT 'it''s', wide text, stats int,
  at timestamptz DEFAULT now(), gap interval DEFAULT '1 day 2:03:04', ratio float8 DEFAULT 0.1,
  raw bytea DEFAULT '\xdeadbeef', who name DEFAULT CURRENT_USER, nums zoo.positive[] DEFAULT '{1}',
  UNIQUE (id) INCLUDE (a)
);
INSERT INTO zoo.columns (gone, gone2, a, wide, at, who) VALUES (1, 'x', 5, 'w', '2024-01-01', 'me');
ALTER TABLE zoo.columns DROP COLUMN gone, DROP COLUMN gone2;
ALTER TABLE zoo.columns ADD COLUMN late int NOT NULL DEFAULT 99;
INSERT INTO zoo.columns (a, at, who) VALUES (6, '2024-01-02', 'you');
ALTER TABLE zoo.columns ALTER wide SET STORAGE EXTERNAL, ALTER stats SET STATISTICS 123,
  ALTER stats SET (n_distinct = -0.5, n_distinct_inherited = 7);
ALTER TABLE zoo.columns SET (fillfactor = 70, autovacuum_enabled = false,
  toast.autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.05);
\if :v14
ALTER TABLE zoo.columns ALTER wide SET COMPRESSION lz4;
\endif
CREATE TABLE zoo.serials (id serial PRIMARY KEY, big bigserial, small smallserial, note text);
INSERT INTO zoo.serials (note) SELECT 'note ' || i FROM generate_series(1, 50) i;
DELETE FROM zoo.serials WHERE id > 40;
ALTER SEQUENCE zoo.serials_big_seq OWNED BY NONE;
ALTER SEQUENCE zoo.untouched OWNED BY zoo.serials.note;
\if :v18
CREATE TABLE zoo.eighteen (id int, live tstzrange, half int GENERATED ALWAYS AS (id / 2) VIRTUAL,
  note text, PRIMARY KEY (id, live WITHOUT OVERLAPS), CONSTRAINT soft CHECK (id > 10) NOT ENFORCED);
INSERT INTO zoo.eighteen (id, live) VALUES (1, '[2024-01-01,2025-01-01)'), (1, '[2025-01-01,)');
ALTER TABLE zoo.eighteen ADD CONSTRAINT later NOT NULL note NOT VALID;
CREATE TABLE zoo.virtual (id int, half int GENERATED ALWAYS AS (id / 2) VIRTUAL);
INSERT INTO zoo.virtual (id) VALUES (4);
CREATE TABLE zoo.named_not_null (a int CONSTRAINT "must be there" NOT NULL, b int NOT NULL NO INHERIT);
INSERT INTO zoo.named_not_null VALUES (1, 2);
\endif

-- tables of other shapes ----------------------------------------------------------------------------
CREATE TABLE zoo.nothing ();
INSERT INTO zoo.nothing DEFAULT VALUES;
INSERT INTO zoo.nothing DEFAULT VALUES;
CREATE TABLE zoo.emptied (gone int);
INSERT INTO zoo.emptied VALUES (1), (2), (3);
ALTER TABLE zoo.emptied DROP COLUMN gone;
CREATE UNLOGGED TABLE zoo.unlogged (id int PRIMARY KEY, t text);
INSERT INTO zoo.unlogged SELECT i, 'u' || i FROM generate_series(1, 20) i;
CREATE TABLE zoo.other_heap (id int) USING second_heap;
INSERT INTO zoo.other_heap VALUES (1);
CREATE TABLE zoo.of_type OF zoo.cage (PRIMARY KEY (length));
INSERT INTO zoo.of_type VALUES (1, 2, 'three', 4);
CREATE TABLE "Annexe ""Ü"" 1"."select" (
  "Order By" int PRIMARY KEY, "a ""b"" 'c' \d" text, "%s {} $1" text, "ключ" text, " " text);
INSERT INTO "Annexe ""Ü"" 1"."select" VALUES (1, 'x', 'y', 'z', ' ');
CREATE TABLE zoo."a_name_of_63_bytes_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" (i int);
CREATE TABLE zoo."ééééééééééééééééééééééééééééééé" (i int);
INSERT INTO zoo."a_name_of_63_bytes_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" VALUES (63);
INSERT INTO zoo."ééééééééééééééééééééééééééééééé" VALUES (62);
CREATE TABLE public."dbname=x user=y" (i int);
INSERT INTO public."dbname=x user=y" VALUES (1);

-- partitions -----------------------------------------------------------------------------------------
CREATE TABLE zoo.visits (id bigint NOT NULL, day date NOT NULL, region text, visitors int DEFAULT 0)
  PARTITION BY RANGE (day);
CREATE TABLE zoo.hashed (id int PRIMARY KEY, up int REFERENCES zoo.hashed) PARTITION BY HASH (id);
CREATE TABLE zoo.hashed_0 PARTITION OF zoo.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE zoo.hashed_1 PARTITION OF zoo.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO zoo.hashed SELECT i, nullif(i / 2, 0) FROM generate_series(1, 20) i;
CREATE TABLE zoo.visits_2023 PARTITION OF zoo.visits FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE zoo.visits_2024 PARTITION OF zoo.visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
  PARTITION BY LIST (region);
CREATE TABLE zoo.visits_2024_eu PARTITION OF zoo.visits_2024 FOR VALUES IN ('eu', 'uk', NULL);
CREATE TABLE zoo.visits_2024_rest PARTITION OF zoo.visits_2024 DEFAULT PARTITION BY HASH (id);
CREATE TABLE zoo.visits_2024_rest_0 PARTITION OF zoo.visits_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE zoo.visits_2024_rest_1 PARTITION OF zoo.visits_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE zoo.visits_default PARTITION OF zoo.visits DEFAULT;
-- another order of columns, a dropped one, its own index and default, then attached
CREATE TABLE zoo.visits_2025 (region text, gone int, visitors int DEFAULT 5, day date NOT NULL, id bigint NOT NULL);
ALTER TABLE zoo.visits_2025 DROP COLUMN gone;
CREATE INDEX own_index ON zoo.visits_2025 (visitors) WHERE visitors > 0;
ALTER TABLE zoo.visits ATTACH PARTITION zoo.visits_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX visits_region ON zoo.visits (region, day DESC NULLS LAST);
CREATE INDEX visits_half ON ONLY zoo.visits (visitors);
CREATE TABLE zoo.visits_detached (LIKE zoo.visits INCLUDING ALL);
INSERT INTO zoo.visits SELECT i, '2023-06-01'::date + (i * 17) % 1200, (ARRAY['eu','us','uk','asia',NULL])[1 + i % 5], i
  FROM generate_series(1, 300) i;
INSERT INTO zoo.visits_detached VALUES (1, '2020-01-01');
COMMENT ON TABLE zoo.visits_2025 IS 'attached';
COMMENT ON INDEX zoo.visits_region IS 'by region';

-- inheritance ----------------------------------------------------------------------------------------
CREATE TABLE zoo.animal (id int, name text NOT NULL CHECK (name <> ''), CONSTRAINT mine CHECK (id > 0) NO INHERIT);
CREATE TABLE zoo.swimmer (depth int DEFAULT 3);
CREATE TABLE zoo.penguin (colony text, name text DEFAULT 'Pingu') INHERITS (zoo.animal, zoo.swimmer);
ALTER TABLE zoo.penguin ALTER depth SET DEFAULT 30;
INSERT INTO zoo.animal VALUES (1, 'Leo');
INSERT INTO zoo.penguin (id, colony) VALUES (-2, 'south');

-- constraints ----------------------------------------------------------------------------------------
CREATE TABLE zoo.hen (id int PRIMARY KEY, egg int, t text);
CREATE TABLE zoo.egg (id int PRIMARY KEY, hen int REFERENCES zoo.hen DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO zoo.egg VALUES (1, 1), (2, NULL);
INSERT INTO zoo.hen VALUES (1, 1, 'first');
COMMIT;
ALTER TABLE zoo.hen ADD CONSTRAINT from_egg FOREIGN KEY (egg) REFERENCES zoo.egg
  ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE;
CREATE TABLE zoo.broken (id int, hen int, UNIQUE (id) DEFERRABLE);
INSERT INTO zoo.broken VALUES (1, 777), (-1, 1);
ALTER TABLE zoo.broken ADD CONSTRAINT no_such FOREIGN KEY (hen) REFERENCES zoo.hen NOT VALID;
ALTER TABLE zoo.broken ADD CONSTRAINT above CHECK (id > 0) NOT VALID;
CREATE TABLE zoo.booking (room int, during tstzrange, gone boolean,
  CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (NOT gone));
INSERT INTO zoo.booking VALUES (1, '[2024-01-01,2024-01-02)', false), (1, '[2024-01-02,2024-01-03)', false);
\if :v15
CREATE TABLE zoo.nulls (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO zoo.nulls VALUES (NULL, 1);
\endif
COMMENT ON CONSTRAINT no_overlap ON zoo.booking IS 'one at a time';

-- indexes --------------------------------------------------------------------------------------------
CREATE INDEX hen_expression ON zoo.hen (lower(t), (id + 1) zoo.abs_ops DESC) WITH (fillfactor = 60) WHERE id > 0;
CREATE INDEX hen_trigram ON zoo.hen USING gin (t gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX kinds_document ON zoo.kinds USING gin (jb jsonb_path_ops);
CREATE INDEX kinds_brin ON zoo.kinds USING brin (id) WITH (pages_per_range = 4);
CREATE INDEX kinds_hash ON zoo.kinds USING hash (u);
ALTER INDEX zoo.hen_expression ALTER COLUMN 2 SET STATISTICS 55;
CREATE UNIQUE INDEX hen_identity ON zoo.hen (id);
ALTER TABLE zoo.hen REPLICA IDENTITY USING INDEX hen_identity;
ALTER TABLE zoo.egg REPLICA IDENTITY FULL;
ALTER TABLE zoo.serials CLUSTER ON serials_pkey;
CREATE TABLE zoo.doubled (i int);
INSERT INTO zoo.doubled VALUES (1), (1);
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY doubled_invalid ON zoo.doubled (i);
\set ON_ERROR_STOP on
CREATE STATISTICS zoo.visits_stats (ndistinct, dependencies, mcv) ON id, day, region FROM zoo.visits_2025;
ALTER STATISTICS zoo.visits_stats SET STATISTICS 321;
COMMENT ON STATISTICS zoo.visits_stats IS 'they belong together';
\if :v14
CREATE STATISTICS zoo.expression_stats ON (id % 7), lower(t) FROM zoo.hen;
\endif

-- views ----------------------------------------------------------------------------------------------
CREATE VIEW zoo.open_cages AS SELECT k.id, k.t AS "The Text" FROM zoo.kinds k WHERE b WITH LOCAL CHECK OPTION;
CREATE VIEW zoo.guarded WITH (security_barrier) AS SELECT * FROM zoo.hen WHERE t IS NOT NULL;
CREATE RECURSIVE VIEW zoo.steps (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM steps WHERE n < 5;
CREATE VIEW zoo.later AS SELECT 1 AS one;
CREATE OR REPLACE VIEW zoo.later AS SELECT 1 AS one, 2 AS two;
ALTER VIEW zoo.later ALTER COLUMN one SET DEFAULT 5;
\if :v15
CREATE VIEW zoo.invoker WITH (security_invoker = true) AS SELECT * FROM zoo.egg;
\endif
CREATE MATERIALIZED VIEW zoo.summary AS SELECT region, sum(visitors) AS n FROM zoo.visits GROUP BY 1 ORDER BY 1;
CREATE UNIQUE INDEX summary_region ON zoo.summary (region);
CREATE MATERIALIZED VIEW zoo.above_summary AS SELECT max(n) AS top FROM zoo.summary;
CREATE MATERIALIZED VIEW zoo.unfilled AS SELECT * FROM zoo.summary WITH NO DATA;
COMMENT ON VIEW zoo.open_cages IS 'open';
COMMENT ON COLUMN zoo.open_cages."The Text" IS 'renamed';
COMMENT ON MATERIALIZED VIEW zoo.summary IS 'summed';
CREATE RULE also AS ON INSERT TO zoo.broken DO ALSO NOTHING;
CREATE RULE instead AS ON DELETE TO zoo.guarded DO INSTEAD DELETE FROM zoo.hen WHERE id = OLD.id;
ALTER TABLE zoo.broken DISABLE RULE also;
COMMENT ON RULE instead ON zoo.guarded IS 'goes through';

-- triggers -------------------------------------------------------------------------------------------
CREATE TRIGGER before_all BEFORE INSERT OR UPDATE OF t ON zoo.hen FOR EACH ROW
  WHEN (NEW.id > 0) EXECUTE FUNCTION zoo.on_change('an ''argument''', '2');
CREATE TRIGGER off BEFORE DELETE ON zoo.hen FOR EACH ROW EXECUTE FUNCTION zoo.on_change();
ALTER TABLE zoo.hen DISABLE TRIGGER off;
CREATE TRIGGER in_replica AFTER INSERT ON zoo.egg FOR EACH ROW EXECUTE FUNCTION zoo.on_change();
ALTER TABLE zoo.egg ENABLE REPLICA TRIGGER in_replica;
CREATE TRIGGER always AFTER INSERT ON zoo.egg REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
  EXECUTE FUNCTION zoo.on_change();
ALTER TABLE zoo.egg ENABLE ALWAYS TRIGGER always;
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON zoo.hen DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION zoo.on_change();
CREATE TRIGGER on_partitions AFTER INSERT ON zoo.visits FOR EACH ROW EXECUTE FUNCTION zoo.on_change();
ALTER TABLE zoo.visits_2023 DISABLE TRIGGER on_partitions;
CREATE TRIGGER on_view INSTEAD OF INSERT ON zoo.open_cages FOR EACH ROW EXECUTE FUNCTION zoo.on_change();
COMMENT ON TRIGGER deferred ON zoo.hen IS 'at the end';
CREATE EVENT TRIGGER zoo_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')
  EXECUTE FUNCTION zoo.on_ddl();
CREATE EVENT TRIGGER zoo_drop ON sql_drop EXECUTE FUNCTION zoo.on_ddl();
ALTER EVENT TRIGGER zoo_drop DISABLE;
COMMENT ON EVENT TRIGGER zoo_ddl IS 'watches';

-- rights ---------------------------------------------------------------------------------------------
CREATE TABLE zoo.secret (id int PRIMARY KEY, owner name, body text);
INSERT INTO zoo.secret VALUES (1, 'zoo_reader', 'yours'), (2, 'zoo_writer', 'theirs');
ALTER TABLE zoo.secret OWNER TO zoo_owner;
ALTER TABLE zoo.secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE zoo.secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON zoo.secret FOR SELECT TO zoo_reader, "Zoo ""Odd"" Rôle" USING (owner = CURRENT_USER);
CREATE POLICY strict ON zoo.secret AS RESTRICTIVE TO PUBLIC USING (id > 0) WITH CHECK (id > 1);
COMMENT ON POLICY own ON zoo.secret IS 'only mine';
GRANT SELECT, UPDATE ON zoo.secret TO zoo_writer WITH GRANT OPTION;
GRANT SELECT (id, body), UPDATE (body) ON zoo.secret TO zoo_keeper;
SET ROLE zoo_writer;
GRANT SELECT ON zoo.secret TO "Zoo ""Odd"" Rôle";
RESET ROLE;
GRANT ALL ON ALL TABLES IN SCHEMA "Annexe ""Ü"" 1" TO "Zoo ""Odd"" Rôle";
REVOKE ALL ON zoo.hen FROM postgres;
GRANT SELECT ON zoo.hen TO PUBLIC;
\if :v17
GRANT MAINTAIN ON zoo.hen TO zoo_keeper;
\endif
SET ROLE zoo_owner;
CREATE TABLE zoo.by_default (id int GENERATED ALWAYS AS IDENTITY, t text);
INSERT INTO zoo.by_default (t) VALUES ('a'), ('b');
CREATE FUNCTION zoo.by_default() RETURNS int LANGUAGE sql AS 'SELECT 1';
RESET ROLE;

-- foreign data ---------------------------------------------------------------------------------------
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER elsewhere TYPE 'postgres' VERSION '9' FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host 'nowhere.example', dbname 'x''y');
CREATE USER MAPPING FOR zoo_owner SERVER elsewhere OPTIONS (user 'them', password 'not mine');
CREATE FOREIGN TABLE zoo.file (line text OPTIONS (force_not_null 'true')) SERVER files
  OPTIONS (filename '/etc/hostname', format 'csv');
CREATE FOREIGN TABLE zoo.remote (id int OPTIONS (column_name 'ID') NOT NULL, t text DEFAULT 'x') SERVER elsewhere;
CREATE FOREIGN DATA WRAPPER dummy OPTIONS (debug 'true');
GRANT USAGE ON FOREIGN SERVER elsewhere TO zoo_keeper;
GRANT USAGE ON FOREIGN DATA WRAPPER dummy TO zoo_owner;
COMMENT ON SERVER elsewhere IS 'not here';
COMMENT ON FOREIGN TABLE zoo.remote IS 'far';

-- publications ---------------------------------------------------------------------------------------
CREATE PUBLICATION zoo_some FOR TABLE zoo.hen, zoo.serials WITH (publish = 'insert, update');
CREATE PUBLICATION zoo_none WITH (publish_via_partition_root = true);
COMMENT ON PUBLICATION zoo_some IS 'some';
\if :v15
CREATE PUBLICATION zoo_rows FOR TABLE zoo.serials (id, note) WHERE (id > 5);
CREATE PUBLICATION zoo_schema FOR TABLES IN SCHEMA empty;
\endif

-- large objects --------------------------------------------------------------------------------------
SELECT lo_from_bytea(70001, '\x0102030405'), lo_from_bytea(70002, ''),
       lo_from_bytea(70003, decode(repeat('deadbeef', 200000), 'hex'));
COMMENT ON LARGE OBJECT 70001 IS 'five bytes';
ALTER LARGE OBJECT 70001 OWNER TO zoo_owner;
GRANT SELECT ON LARGE OBJECT 70003 TO zoo_reader;
CREATE TABLE zoo.attachments (id int PRIMARY KEY, data oid);
INSERT INTO zoo.attachments VALUES (1, 70001), (2, 70003);

-- filled last, so that the partitions' rows are in it
REFRESH MATERIALIZED VIEW zoo.summary;
ANALYZE;

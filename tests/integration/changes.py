"""What may happen to a schema, one thing at a time, in the zoo."""

CHANGES = {
    # tables and columns
    "add a table": "CREATE TABLE zoo.fresh (i int)",
    "drop a table": "DROP TABLE zoo.nothing",
    "rename a table": "ALTER TABLE zoo.nothing RENAME TO nothing_else",
    "move a table": "ALTER TABLE zoo.nothing SET SCHEMA public",
    "own a table": "ALTER TABLE zoo.hen OWNER TO zoo_owner",
    "log a table": "ALTER TABLE zoo.unlogged SET LOGGED",
    "add a column": "ALTER TABLE zoo.hen ADD COLUMN extra int",
    "drop a column": "ALTER TABLE zoo.columns DROP COLUMN wide",
    "rename a column": "ALTER TABLE zoo.hen RENAME COLUMN t TO u",
    "retype a column": "ALTER TABLE zoo.broken ALTER hen TYPE bigint USING 1",
    "limit a column": "ALTER TABLE zoo.kinds ALTER vc TYPE varchar(13)",
    "collate a column": 'ALTER TABLE zoo.columns ALTER "Order By" TYPE text COLLATE "C"',
    "change a default": "ALTER TABLE zoo.columns ALTER a SET DEFAULT 8",
    "drop a default": "ALTER TABLE zoo.columns ALTER a DROP DEFAULT",
    "require a column": "ALTER TABLE zoo.doubled ALTER i SET NOT NULL",
    "relax a column": "ALTER TABLE zoo.columns ALTER late DROP NOT NULL",
    "ungenerate a column": "ALTER TABLE zoo.columns ALTER twice DROP EXPRESSION",
    "identify a column": "ALTER TABLE zoo.columns ALTER id SET GENERATED ALWAYS",
    "store a column": "ALTER TABLE zoo.columns ALTER wide SET STORAGE MAIN",
    "sample a column": "ALTER TABLE zoo.columns ALTER stats SET STATISTICS 7",
    "tune a column": "ALTER TABLE zoo.columns ALTER stats SET (n_distinct = 5)",
    "tune a table": "ALTER TABLE zoo.columns SET (fillfactor = 71)",
    "tune its toast": "ALTER TABLE zoo.columns SET (toast.autovacuum_enabled = true)",
    "identify rows": "ALTER TABLE zoo.egg REPLICA IDENTITY NOTHING",
    "uncluster": "ALTER TABLE zoo.serials SET WITHOUT CLUSTER",
    "untype a table": "ALTER TABLE zoo.of_type NOT OF",
    # partitions and inheritance
    "detach a partition": "ALTER TABLE zoo.visits DETACH PARTITION zoo.visits_2023",
    "add a partition": "CREATE TABLE zoo.p PARTITION OF zoo.visits_2024 FOR VALUES IN ('mars')",
    "disinherit": "ALTER TABLE zoo.penguin NO INHERIT zoo.swimmer",
    # constraints and indexes
    "add a check": "ALTER TABLE zoo.hen ADD CHECK (id < 100)",
    "validate a check": "DELETE FROM zoo.broken; ALTER TABLE zoo.broken VALIDATE CONSTRAINT above",
    "drop a foreign key": "ALTER TABLE zoo.hen DROP CONSTRAINT from_egg",
    "defer a foreign key": "ALTER TABLE zoo.hen ALTER CONSTRAINT from_egg INITIALLY DEFERRED",
    "rename a constraint": "ALTER TABLE zoo.booking RENAME CONSTRAINT no_overlap TO one",
    "add an index": "CREATE INDEX ON zoo.hen (t)",
    "drop an index": "DROP INDEX zoo.hen_trigram",
    "rename an index": "ALTER INDEX zoo.hen_trigram RENAME TO hen_three",
    "tune an index": "ALTER INDEX zoo.hen_expression SET (fillfactor = 61)",
    "sample an index": "ALTER INDEX zoo.hen_expression ALTER COLUMN 2 SET STATISTICS 56",
    "drop statistics": "DROP STATISTICS zoo.visits_stats",
    "sample statistics": "ALTER STATISTICS zoo.visits_stats SET STATISTICS 5",
    "own statistics": "ALTER STATISTICS zoo.visits_stats OWNER TO zoo_owner",
    # sequences
    "step a sequence": "ALTER SEQUENCE zoo.backwards INCREMENT -2",
    "cache a sequence": "ALTER SEQUENCE zoo.backwards CACHE 6",
    "cycle a sequence": "ALTER SEQUENCE zoo.backwards NO CYCLE",
    "limit a sequence": "ALTER SEQUENCE zoo.exhausted MAXVALUE 9",
    "disown a sequence": "ALTER SEQUENCE zoo.untouched OWNED BY NONE",
    # views
    "change a view": "CREATE OR REPLACE VIEW zoo.later AS SELECT 1 AS one, 3 AS two",
    "tune a view": "ALTER VIEW zoo.guarded RESET (security_barrier)",
    "default of a view": "ALTER VIEW zoo.later ALTER one DROP DEFAULT",
    "fill a view": "REFRESH MATERIALIZED VIEW zoo.unfilled",
    "drop a view": "DROP VIEW zoo.steps",
    "drop a rule": "DROP RULE instead ON zoo.guarded",
    "enable a rule": "ALTER TABLE zoo.broken ENABLE RULE also",
    # functions and triggers
    "change a function": "CREATE OR REPLACE FUNCTION zoo.by_default() RETURNS int LANGUAGE sql AS"
    " 'SELECT 2'",
    "loosen a function": "ALTER FUNCTION zoo.add(int, int) VOLATILE",
    "set for a function": "ALTER FUNCTION zoo.feed(text, text[]) SET work_mem = '9MB'",
    "own a function": "ALTER FUNCTION zoo.add(int, int) OWNER TO zoo_owner",
    "drop a procedure": "DROP PROCEDURE zoo.clean",
    "change an aggregate": "CREATE OR REPLACE AGGREGATE zoo.total(integer) (sfunc = int4pl,"
    " stype = integer, initcond = '5', combinefunc = int4pl, parallel = safe)",
    "loosen an aggregate": "CREATE OR REPLACE AGGREGATE zoo.total(integer) (sfunc = int4pl,"
    " stype = integer, initcond = '0', combinefunc = int4pl, parallel = restricted)",
    "add a trigger": "CREATE TRIGGER again AFTER INSERT ON zoo.hen"
    " EXECUTE FUNCTION zoo.on_change()",
    "enable a trigger": "ALTER TABLE zoo.hen ENABLE TRIGGER off",
    "enable an inner trigger": "ALTER TABLE zoo.visits_2023 ENABLE TRIGGER on_partitions",
    "drop a trigger": "DROP TRIGGER deferred ON zoo.hen",
    "enable an event trigger": "ALTER EVENT TRIGGER zoo_drop ENABLE",
    # types
    "extend an enum": "ALTER TYPE zoo.shade ADD VALUE 'grey'",
    "rename a value": "ALTER TYPE zoo.mood RENAME VALUE 'ok' TO 'fine'",
    "extend a composite": "ALTER TYPE zoo.cage ADD ATTRIBUTE depth real CASCADE",
    "own a type": "ALTER TYPE zoo.cage OWNER TO zoo_owner",
    "default of a domain": "ALTER DOMAIN zoo.positive SET DEFAULT 2",
    "require a domain": "ALTER DOMAIN zoo.loose SET NOT NULL",
    "check a domain": "ALTER DOMAIN zoo.loose ADD CHECK (VALUE <> '')",
    "validate a domain": "ALTER DOMAIN zoo.loose VALIDATE CONSTRAINT short",
    "add a range": "CREATE TYPE zoo.r AS RANGE (subtype = int)",
    "drop a shell": "DROP TYPE zoo.shell",
    # operators, casts, text search, collations
    "drop an operator": "DROP OPERATOR zoo.!!! (NONE, integer)",
    "tune an operator": "ALTER OPERATOR zoo.=== (zoo.cage, zoo.cage) SET (RESTRICT = NONE)",
    "extend a family": "ALTER OPERATOR FAMILY zoo.loners USING hash"
    " ADD OPERATOR 1 = (integer, bigint)",
    "drop a cast": "DROP CAST (zoo.cage AS text)",
    "change a cast": "DROP CAST (zoo.mood AS integer); CREATE CAST (zoo.mood AS integer)"
    " WITH FUNCTION zoo.mood_number(zoo.mood) AS IMPLICIT;"
    " COMMENT ON CAST (zoo.mood AS integer) IS 'letters'",
    "map a configuration": "ALTER TEXT SEARCH CONFIGURATION zoo.english DROP MAPPING FOR asciiword",
    "tune a dictionary": "ALTER TEXT SEARCH DICTIONARY zoo.animals (ACCEPT = true)",
    "change a collation": "DROP COLLATION zoo.plain; CREATE COLLATION zoo.plain (locale = 'POSIX')",
    "drop a conversion": "DROP CONVERSION zoo.westward",
    "drop a language": "DROP LANGUAGE zoolang",
    # rights
    "grant a table": "GRANT DELETE ON zoo.egg TO zoo_keeper",
    "revoke a table": "REVOKE SELECT ON zoo.hen FROM PUBLIC",
    "pass on a right": "GRANT SELECT ON zoo.hen TO PUBLIC; GRANT SELECT ON zoo.hen TO zoo_reader"
    " WITH GRANT OPTION",
    "grant a column": "GRANT UPDATE (id) ON zoo.secret TO zoo_keeper",
    "grant a schema": "GRANT CREATE ON SCHEMA zoo TO zoo_keeper",
    "grant a function": "GRANT EXECUTE ON FUNCTION zoo.add(text, text) TO zoo_keeper",
    "grant a type": "GRANT USAGE ON TYPE zoo.cage TO zoo_keeper",
    "grant a sequence": "GRANT UPDATE ON SEQUENCE zoo.backwards TO zoo_keeper",
    "grant a server": "GRANT USAGE ON FOREIGN SERVER elsewhere TO zoo_reader",
    "grant a wrapper": "REVOKE USAGE ON FOREIGN DATA WRAPPER dummy FROM zoo_owner",
    "grant a language": "REVOKE USAGE ON LANGUAGE zoolang FROM PUBLIC",
    "grant by default": "ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner GRANT DELETE ON TABLES"
    " TO zoo_keeper",
    "change a policy": "ALTER POLICY strict ON zoo.secret USING (id > 2)",
    "address a policy": "ALTER POLICY own ON zoo.secret TO zoo_reader",
    "drop a policy": "DROP POLICY own ON zoo.secret",
    "unforce policies": "ALTER TABLE zoo.secret NO FORCE ROW LEVEL SECURITY",
    "disable policies": "ALTER TABLE zoo.secret DISABLE ROW LEVEL SECURITY",
    # the rest
    "add a schema": "CREATE SCHEMA another",
    "own a schema": "ALTER SCHEMA empty OWNER TO zoo_owner",
    "rename a schema": "ALTER SCHEMA empty RENAME TO void",
    "drop an extension": 'DROP EXTENSION "uuid-ossp"',
    "move an extension": "ALTER EXTENSION pgcrypto SET SCHEMA public",
    "comment a table": "COMMENT ON TABLE zoo.hen IS 'a hen'",
    "comment a column": "COMMENT ON COLUMN zoo.hen.id IS 'which'",
    "uncomment": "COMMENT ON SCHEMA zoo IS NULL",
    "comment a role": "COMMENT ON CONSTRAINT above ON DOMAIN zoo.positive IS 'other'",
    "publish more": "ALTER PUBLICATION zoo_some ADD TABLE zoo.egg",
    "publish otherwise": "ALTER PUBLICATION zoo_some SET (publish = 'delete')",
    "drop a publication": "DROP PUBLICATION zoo_none",
    "move a server": "ALTER SERVER elsewhere OPTIONS (SET host 'there.example')",
    "map a user": "ALTER USER MAPPING FOR zoo_owner SERVER elsewhere OPTIONS (SET user 'us')",
    "tune a wrapper": "ALTER FOREIGN DATA WRAPPER dummy OPTIONS (SET debug 'false')",
    "change a foreign table": "ALTER FOREIGN TABLE zoo.file OPTIONS (SET filename '/etc/passwd')",
    "change a foreign column": "ALTER FOREIGN TABLE zoo.remote ALTER id OPTIONS"
    " (SET column_name 'id')",
    "drop an access method": "DROP TABLE zoo.other_heap; DROP ACCESS METHOD second_heap",
}

SINCE = {
    "publish columns": (15, "ALTER PUBLICATION zoo_rows SET TABLE zoo.serials (id) WHERE (id > 5)"),
    "publish rows": (
        15,
        "ALTER PUBLICATION zoo_rows SET TABLE zoo.serials (id, note) WHERE (id > 6)",
    ),
    "publish a schema": (15, "ALTER PUBLICATION zoo_schema ADD TABLES IN SCHEMA zoo"),
    "compress a column": (15, "ALTER TABLE zoo.columns ALTER wide SET COMPRESSION pglz"),
    "change a standard function": (
        15,
        "CREATE OR REPLACE FUNCTION zoo.standard(a int) RETURNS int"
        " LANGUAGE sql IMMUTABLE RETURN a * 3",
    ),
    "invoke a view": (15, "ALTER VIEW zoo.invoker SET (security_invoker = false)"),
    "distinguish nulls": (
        15,
        "ALTER TABLE zoo.nulls DROP CONSTRAINT nulls_a_b_key;"
        " ALTER TABLE zoo.nulls ADD CONSTRAINT nulls_a_b_key UNIQUE (a, b)",
    ),
    "maintain": (17, "REVOKE MAINTAIN ON zoo.hen FROM zoo_keeper"),
    "enforce": (
        18,
        "ALTER TABLE zoo.eighteen DROP CONSTRAINT soft;"
        " ALTER TABLE zoo.eighteen ADD CONSTRAINT soft CHECK (id > 10) NOT VALID",
    ),
    "rename not null": (
        18,
        'ALTER TABLE zoo.named_not_null RENAME CONSTRAINT "must be there" TO there',
    ),
    "virtual column": (18, "ALTER TABLE zoo.virtual ALTER half SET EXPRESSION AS (id / 3)"),
}

SAME = {
    "a column that came and went": "ALTER TABLE zoo.hen ADD COLUMN x int DEFAULT 1;"
    " ALTER TABLE zoo.hen DROP COLUMN x",
    "a view made anew": "CREATE OR REPLACE VIEW zoo.later AS SELECT 1 AS one, 2 AS two",
    "an index made anew": "DROP INDEX zoo.kinds_hash;"
    " CREATE INDEX kinds_hash ON zoo.kinds USING hash (u)",
    "a function made anew": "DROP FUNCTION zoo.many;"
    ' CREATE FUNCTION zoo.many(n int) RETURNS TABLE (id int, "Name" text) LANGUAGE sql STABLE'
    " ROWS 5 LEAKPROOF AS 'SELECT i, i::text FROM generate_series(1, n) i'",
    "rows": "INSERT INTO zoo.hen VALUES (77); UPDATE zoo.hen SET t = 'x'; DELETE FROM zoo.doubled",
    "no rows": "TRUNCATE zoo.kinds",
    "a sequence that moved on": "SELECT nextval('zoo.serials_id_seq'), setval('zoo.untouched', 77)",
    "statistics": "ANALYZE zoo.hen",
    "a new heap": "CLUSTER zoo.serials",
    "a new index": "REINDEX TABLE zoo.hen",
    "a temporary table": "CREATE TEMPORARY TABLE hen (i int)",
    "a large object": "SELECT lo_from_bytea(0, 'x')",
}

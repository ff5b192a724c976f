"""
The catalog queries, as text. Pure.

They are read under an empty search path, so that every name comes out qualified.
"""

SERVER = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
       (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery()
"""

LOOK = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
       (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(),
       d.oid::bigint, pg_database_size(d.oid),
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
           AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                            AND e.objid = c.oid AND e.deptype = 'e')),
       array(SELECT gid FROM pg_prepared_xacts WHERE database = d.datname ORDER BY 1),
       array(SELECT slot_name::text FROM pg_replication_slots
              WHERE database = d.datname ORDER BY 1),
       array(SELECT i.indexrelid::regclass::text FROM pg_index i
              JOIN pg_class c ON c.oid = i.indexrelid
             WHERE NOT i.indisvalid AND c.relkind = 'i' ORDER BY 1),
       array(SELECT datname::text FROM pg_database ORDER BY 1),
       (SELECT md5(coalesce(string_agg(r::text, E'\\n' ORDER BY r.rolname), '')
          || coalesce((SELECT string_agg(m.roleid::regrole || '>' || m.member::regrole, ','
                              ORDER BY m.roleid, m.member) FROM pg_auth_members m), ''))
          FROM pg_roles r WHERE r.rolname NOT LIKE 'migsafe\\_lent\\_%')
FROM pg_database d WHERE d.datname = current_database()
"""

ROLES = """
SELECT format('CREATE ROLE %I %s %s %s %s %s %s', rolname,
         CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END,
         CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
         CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END,
         CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
         CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
         CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END) AS statement
  FROM pg_roles WHERE rolname !~ '^pg_'
UNION ALL
SELECT format('GRANT %s TO %s', roleid::regrole, member::regrole)
  FROM pg_auth_members WHERE member >= 16384
"""
"""The roles of a server, without their passwords, as statements: roles first."""

LOCKED = """
SELECT DISTINCT c.oid::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND c.oid >= 16384
  AND c.relkind IN ('r', 'p', 'm')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

SUBSCRIPTIONS = """
SELECT array(SELECT subname::text FROM pg_subscription
              WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = %s) ORDER BY 1)
"""

RIGHTS = """
SELECT r.rolname::text, r.rolsuper, r.rolcreatedb,
       coalesce(pg_has_role(d.datdba, 'USAGE'), true),
       r.rolsuper OR pg_has_role('pg_signal_backend', 'USAGE')
FROM pg_roles r LEFT JOIN pg_database d ON d.datname = %s
WHERE r.rolname = current_user
"""

SIGNAL_NEEDED = """
SELECT coalesce(bool_or(true), false), coalesce(bool_or(r.rolsuper), false)
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s AND a.usename <> current_user
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
"""

NEEDS_SUPERUSER = """
SELECT array(SELECT 'event trigger ' || evtname FROM pg_event_trigger
             UNION ALL
             SELECT 'extension ' || x.extname FROM pg_extension x
              WHERE NOT EXISTS (SELECT FROM pg_available_extension_versions v
                     WHERE v.name = x.extname AND v.version = x.extversion AND v.trusted)
                AND x.extname <> 'plpgsql'
             UNION ALL
             SELECT DISTINCT 'what role ' || pg_get_userbyid(o.owner) || ' owns'
               FROM (SELECT relowner AS owner, relnamespace AS ns FROM pg_class
                     UNION SELECT proowner, pronamespace FROM pg_proc
                     UNION SELECT nspowner, oid FROM pg_namespace) o
               JOIN pg_namespace n ON n.oid = o.ns
              WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
                AND NOT (n.nspname = 'public' AND o.owner = n.nspowner)
                AND NOT pg_has_role(o.owner, 'MEMBER')
             ORDER BY 1)
"""

COLUMNS = """
SELECT n.nspname::text, c.relname::text, array_agg(a.attname::text)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(%s)
  AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
GROUP BY 1, 2 ORDER BY 1, 2
"""

SESSIONS = """
SELECT pid, coalesce(usename::text, ''), coalesce(application_name, ''), host(client_addr),
       coalesce(state, ''),
       application_name = 'migsafe' AND client_addr IS NOT DISTINCT FROM inet_client_addr()
FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid()
  AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
ORDER BY pid
"""


PROPERTIES = """
SELECT pg_get_userbyid(d.datdba)::text, pg_encoding_to_char(d.encoding), d.datcollate::text,
       d.datctype::text, coalesce(j->>'datlocprovider', 'c'),
       coalesce(j->>'datlocale', j->>'daticulocale'), j->>'daticurules',
       (SELECT spcname::text FROM pg_tablespace WHERE oid = d.dattablespace),
       d.datallowconn, d.datconnlimit, d.datistemplate,
       shobj_description(d.oid, 'pg_database'), d.datacl IS NULL,
       (SELECT coalesce(json_agg(v), '[]')
          FROM aclexplode(d.datacl) a, json_build_array(pg_get_userbyid(a.grantor),
               CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
               a.privilege_type, a.is_grantable) v),
       (SELECT coalesce(json_agg(v), '[]')
          FROM pg_db_role_setting s, unnest(s.setconfig) c, json_build_array(
               CASE s.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(s.setrole) END,
               split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)) v
         WHERE s.setdatabase = d.oid),
       (SELECT coalesce(json_agg(v), '[]')
          FROM pg_shseclabel l, json_build_array(l.provider, l.label) v
         WHERE l.objoid = d.oid AND l.classoid = 'pg_database'::regclass),
       CASE WHEN d.datname = current_database() THEN coalesce(
         (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'public'), '')
       END,
       j->>'datcollversion'
FROM pg_database d, to_jsonb(d) j WHERE d.datname = %s
"""
"""Columns that a major does not have yet come out as NULL by way of jsonb."""

COLLATION = "SELECT pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = %s"
"""From PostgreSQL 15."""

TABLES = """
SELECT n.nspname::text, c.relname::text, c.oid::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                   AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1, 2
"""

EXTRAS = """
SELECT (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT coalesce(json_agg(json_build_array(extname, extversion) ORDER BY extname), '[]')
          FROM pg_extension)
"""

EXTENSIONS = """
SELECT x.extname::text, n.nspname::text FROM pg_extension x
  JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname <> 'plpgsql' ORDER BY x.oid
"""

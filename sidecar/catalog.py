"""
The fingerprint of a schema, as one query. Pure.

It is read under an empty search path, so that definitions come out qualified, and nothing in it
depends on oids or on attribute numbers: it is the same after dump and restore.

What pg_dump does not write down is left out, too: indexes that are not valid, the order of columns
that a child inherits, the foreign keys that partitions get from their parents'. Versions of
extensions are left out, because a restore takes the version that the server has. So is
``pg_attver``, which newer minor releases (seen with 15.20 and 17.12) keep among a column's options:
a restore makes a new one.

A server words an expression otherwise once it has read its own words: ``x IN ('a', 'b')`` over a
varchar casts the whole array at first, and each of its elements after a restore; ANDs lose their
inner parentheses. So parentheses and casts to text do not count in expressions.
"""

_LINES = r"""
WITH member AS (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), ns AS (
  SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
   WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
     AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_namespace'::regclass
                      AND m.objid = pg_namespace.oid)
), rel AS (
  SELECT c.* FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
     AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass
                      AND m.objid = c.oid)
), family AS (
  SELECT f.oid FROM pg_opfamily f JOIN ns ON ns.oid = f.opfnamespace
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_opfamily'::regclass
                      AND m.objid = f.oid)
), line(text) AS (
  SELECT jsonb_build_array('schema', ns.nspname, pg_get_userbyid(ns.nspowner),
    array(SELECT x::text FROM unnest(coalesce(ns.nspacl, acldefault('n', ns.nspowner))) x
           ORDER BY 1))::text
    FROM ns
  UNION ALL
  SELECT jsonb_build_array('extension', x.extname, n.nspname)::text
    FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
  UNION ALL
  SELECT jsonb_build_array('relation', c.relkind, c.relpersistence, c.oid::regclass::text,
    pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
    (SELECT amname FROM pg_am WHERE oid = c.relam), c.reloptions,
    (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
    (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace), c.relispopulated,
    pg_get_expr(c.relpartbound, c.oid),
    CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
    nullif(c.reloftype, 0)::regtype::text,
    array(SELECT i.inhparent::regclass::text FROM pg_inherits i
           WHERE i.inhrelid = c.oid ORDER BY i.inhseqno),
    CASE WHEN c.relkind <> 'c' THEN array(SELECT x::text FROM unnest(coalesce(c.relacl,
      acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) x
      ORDER BY 1) END,
    (SELECT jsonb_build_array(array(SELECT o FROM unnest(ft.ftoptions) o ORDER BY 1), fs.srvname)
       FROM pg_foreign_table ft JOIN pg_foreign_server fs ON fs.oid = ft.ftserver
      WHERE ft.ftrelid = c.oid))::text
    FROM rel c
  UNION ALL
  SELECT jsonb_build_array('column', c.oid::regclass::text,
    CASE WHEN c.relispartition OR NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
      THEN row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) END, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
    a.attstorage, to_jsonb(a)->'attcompression',
    nullif(coalesce((to_jsonb(a)->>'attstattarget')::int, -1), -1),
    array(SELECT o FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%' ORDER BY 1),
    array(SELECT o FROM unnest(a.attfdwoptions) o ORDER BY 1),
    nullif(a.attcollation, t.typcollation)::regcollation::text,
    array(SELECT x::text FROM unnest(a.attacl) x ORDER BY 1),
    (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
      WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum))::text
    FROM rel c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid WHERE c.relkind <> 'S'
  UNION ALL
  SELECT jsonb_build_array('sequence', s.seqrelid::regclass::text, format_type(s.seqtypid, NULL),
    s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
    (SELECT min(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)) FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
        AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass))::text
    FROM pg_sequence s JOIN rel c ON c.oid = s.seqrelid
  UNION ALL
  SELECT jsonb_build_array('index', pg_get_indexdef(i.indexrelid), i.indisclustered,
    i.indisreplident, x.reloptions,
    (SELECT spcname FROM pg_tablespace WHERE oid = x.reltablespace),
    array(SELECT to_jsonb(a)->>'attstattarget' FROM pg_attribute a
           WHERE a.attrelid = x.oid ORDER BY a.attnum))::text
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN rel c ON c.oid = i.indrelid
   WHERE i.indisvalid
  UNION ALL
  SELECT jsonb_build_array('constraint', k.conname, c.oid::regclass::text,
    pg_get_constraintdef(k.oid), k.convalidated)::text
    FROM pg_constraint k JOIN rel c ON c.oid = k.conrelid
   WHERE k.contype <> 'f' OR k.conparentid = 0
  UNION ALL
  SELECT jsonb_build_array('domain constraint', k.conname, k.contypid::regtype::text,
    pg_get_constraintdef(k.oid), k.convalidated)::text
    FROM pg_constraint k JOIN ns ON ns.oid = k.connamespace
   WHERE k.contypid <> 0 AND NOT EXISTS (SELECT FROM member m
         WHERE m.classid = 'pg_type'::regclass AND m.objid = k.contypid)
  UNION ALL
  SELECT jsonb_build_array('policy', c.oid::regclass::text, p.polname, p.polcmd, p.polpermissive,
    array(SELECT coalesce(nullif(r, 0)::regrole::text, 'public') FROM unnest(p.polroles) r
           ORDER BY 1),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))::text
    FROM pg_policy p JOIN rel c ON c.oid = p.polrelid
  UNION ALL
  SELECT jsonb_build_array('rule', pg_get_ruledef(r.oid), r.ev_enabled)::text
    FROM pg_rewrite r JOIN rel c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN'
  UNION ALL
  SELECT jsonb_build_array('trigger', pg_get_triggerdef(g.oid), g.tgenabled)::text
    FROM pg_trigger g JOIN rel c ON c.oid = g.tgrelid
   WHERE NOT g.tgisinternal OR (g.tgparentid <> 0 AND g.tgconstraint = 0)
  UNION ALL
  SELECT jsonb_build_array(
    CASE WHEN to_jsonb(p)->>'prosqlbody' IS NULL THEN 'function' ELSE 'standard function' END,
    p.oid::regprocedure::text,
    CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
    (SELECT jsonb_build_array(p.provolatile, p.proparallel, p.prosecdef,
       format_type(g.aggtranstype, NULL), format_type(nullif(g.aggmtranstype, 0), NULL),
       nullif(g.aggsortop, 0)::regoperator::text,
       to_jsonb(g) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[])
       FROM pg_aggregate g WHERE g.aggfnoid = p.oid),
    pg_get_userbyid(p.proowner),
    array(SELECT x::text FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) x
           ORDER BY 1))::text
    FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass
                      AND m.objid = p.oid)
  UNION ALL
  SELECT jsonb_build_array('type', t.typtype, t.oid::regtype::text, pg_get_userbyid(t.typowner),
    t.typnotnull, t.typdefault, format_type(nullif(t.typbasetype, 0), t.typtypmod),
    array(SELECT l.enumlabel FROM pg_enum l WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder),
    (SELECT jsonb_build_array(format_type(r.rngsubtype, NULL),
       nullif(r.rngcollation, 0)::regcollation::text, r.rngcanonical::text, r.rngsubdiff::text)
       FROM pg_range r WHERE r.rngtypid = t.oid),
    array(SELECT x::text FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) x
           ORDER BY 1))::text
    FROM pg_type t JOIN ns ON ns.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
   WHERE coalesce(c.relkind, 'c') = 'c' AND t.typelem = 0
     AND NOT EXISTS (SELECT FROM member m WHERE (m.classid, m.objid) IN
                      (('pg_type'::regclass::oid, t.oid), ('pg_class'::regclass::oid, c.oid)))
  UNION ALL
  SELECT jsonb_build_array('event trigger', v.evtname, v.evtevent, pg_get_userbyid(v.evtowner),
    v.evtfoid::regprocedure::text, v.evtenabled, v.evttags)::text
    FROM pg_event_trigger v WHERE NOT EXISTS (SELECT FROM member m
         WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = v.oid)
  UNION ALL
  SELECT jsonb_build_array('default acl', pg_get_userbyid(d.defaclrole), d.defaclobjtype,
    (SELECT nspname FROM pg_namespace WHERE oid = d.defaclnamespace),
    array(SELECT x::text FROM unnest(d.defaclacl) x ORDER BY 1))::text
    FROM pg_default_acl d
  UNION ALL
  SELECT jsonb_build_array('publication', to_jsonb(p) - 'oid' - 'pubowner',
    pg_get_userbyid(p.pubowner), array(SELECT to_jsonb(t)::text
      FROM pg_publication_tables t WHERE t.pubname = p.pubname ORDER BY 1))::text
    FROM pg_publication p
  UNION ALL
  SELECT jsonb_build_array('statistics', pg_get_statisticsobjdef(s.oid),
    pg_get_userbyid(s.stxowner),
    nullif(coalesce((to_jsonb(s)->>'stxstattarget')::int, -1), -1))::text
    FROM pg_statistic_ext s
  UNION ALL
  SELECT jsonb_build_array('server', s.srvname, w.fdwname, pg_get_userbyid(s.srvowner), s.srvtype,
    s.srvversion, array(SELECT o FROM unnest(s.srvoptions) o ORDER BY 1),
    array(SELECT x::text FROM unnest(coalesce(s.srvacl, acldefault('S', s.srvowner))) x
           ORDER BY 1))::text
    FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  UNION ALL
  SELECT jsonb_build_array('user mapping', u.srvname, u.usename,
    md5(array(SELECT o FROM unnest(u.umoptions) o ORDER BY 1)::text))::text
    FROM pg_user_mappings u
  UNION ALL
  SELECT jsonb_build_array('wrapper', w.fdwname, pg_get_userbyid(w.fdwowner),
    w.fdwhandler::regproc::text, w.fdwvalidator::regproc::text,
    array(SELECT o FROM unnest(w.fdwoptions) o ORDER BY 1),
    array(SELECT x::text FROM unnest(coalesce(w.fdwacl, acldefault('F', w.fdwowner))) x
           ORDER BY 1))::text
    FROM pg_foreign_data_wrapper w
  UNION ALL
  SELECT jsonb_build_array('language', l.lanname, pg_get_userbyid(l.lanowner), l.lanpltrusted,
    array(SELECT x::text FROM unnest(coalesce(l.lanacl, acldefault('l', l.lanowner))) x
           ORDER BY 1))::text
    FROM pg_language l
  UNION ALL
  SELECT jsonb_build_array('cast', format_type(k.castsource, NULL), format_type(k.casttarget, NULL),
    nullif(k.castfunc, 0)::regprocedure::text, k.castcontext, k.castmethod)::text
    FROM pg_cast k WHERE k.oid >= 16384
     AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_cast'::regclass
                      AND m.objid = k.oid)
  UNION ALL
  SELECT jsonb_build_array('operator', o.oid::regoperator::text, pg_get_userbyid(o.oprowner),
    o.oprcode::text, o.oprrest::text, o.oprjoin::text, nullif(o.oprcom, 0)::regoperator::text,
    nullif(o.oprnegate, 0)::regoperator::text, o.oprcanmerge, o.oprcanhash)::text
    FROM pg_operator o JOIN ns ON ns.oid = o.oprnamespace
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_operator'::regclass
                      AND m.objid = o.oid)
  UNION ALL
  SELECT jsonb_build_array('operator class', i.identity, pg_get_userbyid(o.opcowner),
    o.opcdefault, format_type(nullif(o.opckeytype, 0), NULL), f.identity)::text
    FROM pg_opclass o JOIN ns ON ns.oid = o.opcnamespace,
         pg_identify_object('pg_opclass'::regclass, o.oid, 0) i,
         pg_identify_object('pg_opfamily'::regclass, o.opcfamily, 0) f
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_opclass'::regclass
                      AND m.objid = o.oid)
  UNION ALL
  SELECT jsonb_build_array('operator of family', i.identity)::text
    FROM pg_amop o JOIN family f ON f.oid = o.amopfamily,
         pg_identify_object('pg_amop'::regclass, o.oid, 0) i
  UNION ALL
  SELECT jsonb_build_array('function of family', i.identity, p.amproc::text)::text
    FROM pg_amproc p JOIN family f ON f.oid = p.amprocfamily,
         pg_identify_object('pg_amproc'::regclass, p.oid, 0) i
  UNION ALL
  SELECT jsonb_build_array('collation', c.oid::regcollation::text, pg_get_userbyid(c.collowner),
    to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text
    FROM pg_collation c JOIN ns ON ns.oid = c.collnamespace
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_collation'::regclass
                      AND m.objid = c.oid)
  UNION ALL
  SELECT jsonb_build_array('text search dictionary', d.oid::regdictionary::text,
    pg_get_userbyid(d.dictowner), t.tmplname, d.dictinitoption)::text
    FROM pg_ts_dict d JOIN ns ON ns.oid = d.dictnamespace
         JOIN pg_ts_template t ON t.oid = d.dicttemplate
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_dict'::regclass
                      AND m.objid = d.oid)
  UNION ALL
  SELECT jsonb_build_array('text search configuration', c.oid::regconfig::text,
    pg_get_userbyid(c.cfgowner), t.alias,
    array(SELECT m.mapdict::regdictionary::text FROM pg_ts_config_map m
           WHERE m.mapcfg = c.oid AND m.maptokentype = t.tokid ORDER BY m.mapseqno))::text
    FROM pg_ts_config c JOIN ns ON ns.oid = c.cfgnamespace, ts_token_type(c.cfgparser) t
   WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_config'::regclass
                      AND m.objid = c.oid)
  UNION ALL
  SELECT jsonb_build_array('object', i.type, i.identity)::text
    FROM (SELECT 'pg_cast'::regclass AS classid, oid FROM pg_cast
          UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
          UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass
          UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily
          UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
          UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion
          UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
          UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
          UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language
          UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
          UNION ALL SELECT 'pg_am'::regclass, oid FROM pg_am
          UNION ALL SELECT 'pg_transform'::regclass, oid FROM pg_transform
         ) o, pg_identify_object(o.classid, o.oid, 0) i
   WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM member m
         WHERE m.classid = o.classid AND m.objid = o.oid)
  UNION ALL
  SELECT jsonb_build_array('comment', i.type, i.identity, d.description)::text
    FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
   WHERE d.objoid >= 16384
     AND d.classoid NOT IN ('pg_largeobject'::regclass, 'pg_extension'::regclass)
     AND NOT EXISTS (SELECT FROM member m WHERE m.classid = d.classoid AND m.objid = d.objoid)
), worded(text) AS (
  SELECT CASE WHEN text ~ '^\["(relation|column|index|constraint|domain constraint|policy|rule'
                          '|trigger|statistics|standard function)"'
    THEN regexp_replace(text, '::(text|character varying)(\(\d+\))?(\[\])?|[()]', '', 'g')
    ELSE text END
  FROM line
)
"""

LINES = _LINES + 'SELECT text FROM worded ORDER BY text COLLATE "C"'
"""A line of JSON for each thing in the schema, to be read where two schemas differ."""

FINGERPRINT = _LINES + (
    "SELECT md5(coalesce(string_agg(text, E'\\n' ORDER BY text COLLATE \"C\"), '')) FROM worded"
)
"""The same lines, hashed on the server."""

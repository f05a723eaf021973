// Facts of PostgreSQL 15 about its catalogs: OIDs, kinds, columns with their types. Read from a server's pg_class and
// pg_attribute; domains of information_schema are given by their base types.
#include "sql/catalog/virtual/relation_facts.h"

namespace insula::sql {
namespace {

constexpr RelationFact kRelations[] = {
    {826, "pg_catalog", "pg_default_acl", 'r', false,
     "oid:oid! defaclrole:oid! defaclnamespace:oid! defaclobjtype:char! defaclacl:_aclitem!"},
    {1213, "pg_catalog", "pg_tablespace", 'r', true,
     "oid:oid! spcname:name! spcowner:oid! spcacl:_aclitem spcoptions:_text"},
    {1214, "pg_catalog", "pg_shdepend", 'r', true,
     "dbid:oid! classid:oid! objid:oid! objsubid:int4! refclassid:oid! refobjid:oid! deptype:char!"},
    {1247, "pg_catalog", "pg_type", 'r', false,
     "oid:oid! typname:name! typnamespace:oid! typowner:oid! typlen:int2! typbyval:bool! typtype:char! "
     "typcategory:char! typispreferred:bool! typisdefined:bool! typdelim:char! typrelid:oid! typsubscript:regproc! "
     "typelem:oid! typarray:oid! typinput:regproc! typoutput:regproc! typreceive:regproc! typsend:regproc! "
     "typmodin:regproc! typmodout:regproc! typanalyze:regproc! typalign:char! typstorage:char! typnotnull:bool! "
     "typbasetype:oid! typtypmod:int4! typndims:int4! typcollation:oid! typdefaultbin:pg_node_tree typdefault:text "
     "typacl:_aclitem"},
    {1249, "pg_catalog", "pg_attribute", 'r', false,
     "attrelid:oid! attname:name! atttypid:oid! attstattarget:int4! attlen:int2! attnum:int2! attndims:int4! "
     "attcacheoff:int4! atttypmod:int4! attbyval:bool! attalign:char! attstorage:char! attcompression:char! "
     "attnotnull:bool! atthasdef:bool! atthasmissing:bool! attidentity:char! attgenerated:char! attisdropped:bool! "
     "attislocal:bool! attinhcount:int4! attcollation:oid! attacl:_aclitem attoptions:_text attfdwoptions:_text "
     "attmissingval:anyarray"},
    {1255, "pg_catalog", "pg_proc", 'r', false,
     "oid:oid! proname:name! pronamespace:oid! proowner:oid! prolang:oid! procost:float4! prorows:float4! "
     "provariadic:oid! prosupport:regproc! prokind:char! prosecdef:bool! proleakproof:bool! proisstrict:bool! "
     "proretset:bool! provolatile:char! proparallel:char! pronargs:int2! pronargdefaults:int2! prorettype:oid! "
     "proargtypes:oidvector! proallargtypes:_oid proargmodes:_char proargnames:_text proargdefaults:pg_node_tree "
     "protrftypes:_oid prosrc:text! probin:text prosqlbody:pg_node_tree proconfig:_text proacl:_aclitem"},
    {1259, "pg_catalog", "pg_class", 'r', false,
     "oid:oid! relname:name! relnamespace:oid! reltype:oid! reloftype:oid! relowner:oid! relam:oid! "
     "relfilenode:oid! reltablespace:oid! relpages:int4! reltuples:float4! relallvisible:int4! reltoastrelid:oid! "
     "relhasindex:bool! relisshared:bool! relpersistence:char! relkind:char! relnatts:int2! relchecks:int2! "
     "relhasrules:bool! relhastriggers:bool! relhassubclass:bool! relrowsecurity:bool! relforcerowsecurity:bool! "
     "relispopulated:bool! relreplident:char! relispartition:bool! relrewrite:oid! relfrozenxid:xid! "
     "relminmxid:xid! relacl:_aclitem reloptions:_text relpartbound:pg_node_tree"},
    {1260, "pg_catalog", "pg_authid", 'r', true,
     "oid:oid! rolname:name! rolsuper:bool! rolinherit:bool! rolcreaterole:bool! rolcreatedb:bool! "
     "rolcanlogin:bool! rolreplication:bool! rolbypassrls:bool! rolconnlimit:int4! rolpassword:text "
     "rolvaliduntil:timestamptz"},
    {1261, "pg_catalog", "pg_auth_members", 'r', true,
     "roleid:oid! member:oid! grantor:oid! admin_option:bool!"},
    {1262, "pg_catalog", "pg_database", 'r', true,
     "oid:oid! datname:name! datdba:oid! encoding:int4! datlocprovider:char! datistemplate:bool! "
     "datallowconn:bool! datconnlimit:int4! datfrozenxid:xid! datminmxid:xid! dattablespace:oid! datcollate:text! "
     "datctype:text! daticulocale:text datcollversion:text datacl:_aclitem"},
    {1417, "pg_catalog", "pg_foreign_server", 'r', false,
     "oid:oid! srvname:name! srvowner:oid! srvfdw:oid! srvtype:text srvversion:text srvacl:_aclitem "
     "srvoptions:_text"},
    {1418, "pg_catalog", "pg_user_mapping", 'r', false,
     "oid:oid! umuser:oid! umserver:oid! umoptions:_text"},
    {2224, "pg_catalog", "pg_sequence", 'r', false,
     "seqrelid:oid! seqtypid:oid! seqstart:int8! seqincrement:int8! seqmax:int8! seqmin:int8! seqcache:int8! "
     "seqcycle:bool!"},
    {2328, "pg_catalog", "pg_foreign_data_wrapper", 'r', false,
     "oid:oid! fdwname:name! fdwowner:oid! fdwhandler:oid! fdwvalidator:oid! fdwacl:_aclitem fdwoptions:_text"},
    {2396, "pg_catalog", "pg_shdescription", 'r', true,
     "objoid:oid! classoid:oid! description:text!"},
    {2600, "pg_catalog", "pg_aggregate", 'r', false,
     "aggfnoid:regproc! aggkind:char! aggnumdirectargs:int2! aggtransfn:regproc! aggfinalfn:regproc! "
     "aggcombinefn:regproc! aggserialfn:regproc! aggdeserialfn:regproc! aggmtransfn:regproc! "
     "aggminvtransfn:regproc! aggmfinalfn:regproc! aggfinalextra:bool! aggmfinalextra:bool! aggfinalmodify:char! "
     "aggmfinalmodify:char! aggsortop:oid! aggtranstype:oid! aggtransspace:int4! aggmtranstype:oid! "
     "aggmtransspace:int4! agginitval:text aggminitval:text"},
    {2601, "pg_catalog", "pg_am", 'r', false,
     "oid:oid! amname:name! amhandler:regproc! amtype:char!"},
    {2604, "pg_catalog", "pg_attrdef", 'r', false,
     "oid:oid! adrelid:oid! adnum:int2! adbin:pg_node_tree!"},
    {2605, "pg_catalog", "pg_cast", 'r', false,
     "oid:oid! castsource:oid! casttarget:oid! castfunc:oid! castcontext:char! castmethod:char!"},
    {2606, "pg_catalog", "pg_constraint", 'r', false,
     "oid:oid! conname:name! connamespace:oid! contype:char! condeferrable:bool! condeferred:bool! "
     "convalidated:bool! conrelid:oid! contypid:oid! conindid:oid! conparentid:oid! confrelid:oid! "
     "confupdtype:char! confdeltype:char! confmatchtype:char! conislocal:bool! coninhcount:int4! "
     "connoinherit:bool! conkey:_int2 confkey:_int2 conpfeqop:_oid conppeqop:_oid conffeqop:_oid "
     "confdelsetcols:_int2 conexclop:_oid conbin:pg_node_tree"},
    {2608, "pg_catalog", "pg_depend", 'r', false,
     "classid:oid! objid:oid! objsubid:int4! refclassid:oid! refobjid:oid! refobjsubid:int4! deptype:char!"},
    {2609, "pg_catalog", "pg_description", 'r', false,
     "objoid:oid! classoid:oid! objsubid:int4! description:text!"},
    {2610, "pg_catalog", "pg_index", 'r', false,
     "indexrelid:oid! indrelid:oid! indnatts:int2! indnkeyatts:int2! indisunique:bool! indnullsnotdistinct:bool! "
     "indisprimary:bool! indisexclusion:bool! indimmediate:bool! indisclustered:bool! indisvalid:bool! "
     "indcheckxmin:bool! indisready:bool! indislive:bool! indisreplident:bool! indkey:int2vector! "
     "indcollation:oidvector! indclass:oidvector! indoption:int2vector! indexprs:pg_node_tree indpred:pg_node_tree"},
    {2611, "pg_catalog", "pg_inherits", 'r', false,
     "inhrelid:oid! inhparent:oid! inhseqno:int4! inhdetachpending:bool!"},
    {2612, "pg_catalog", "pg_language", 'r', false,
     "oid:oid! lanname:name! lanowner:oid! lanispl:bool! lanpltrusted:bool! lanplcallfoid:oid! laninline:oid! "
     "lanvalidator:oid! lanacl:_aclitem"},
    {2613, "pg_catalog", "pg_largeobject", 'r', false,
     "loid:oid! pageno:int4! data:bytea!"},
    {2615, "pg_catalog", "pg_namespace", 'r', false,
     "oid:oid! nspname:name! nspowner:oid! nspacl:_aclitem"},
    {2616, "pg_catalog", "pg_opclass", 'r', false,
     "oid:oid! opcmethod:oid! opcname:name! opcnamespace:oid! opcowner:oid! opcfamily:oid! opcintype:oid! "
     "opcdefault:bool! opckeytype:oid!"},
    {2617, "pg_catalog", "pg_operator", 'r', false,
     "oid:oid! oprname:name! oprnamespace:oid! oprowner:oid! oprkind:char! oprcanmerge:bool! oprcanhash:bool! "
     "oprleft:oid! oprright:oid! oprresult:oid! oprcom:oid! oprnegate:oid! oprcode:regproc! oprrest:regproc! "
     "oprjoin:regproc!"},
    {2618, "pg_catalog", "pg_rewrite", 'r', false,
     "oid:oid! rulename:name! ev_class:oid! ev_type:char! ev_enabled:char! is_instead:bool! ev_qual:pg_node_tree! "
     "ev_action:pg_node_tree!"},
    {2620, "pg_catalog", "pg_trigger", 'r', false,
     "oid:oid! tgrelid:oid! tgparentid:oid! tgname:name! tgfoid:oid! tgtype:int2! tgenabled:char! "
     "tgisinternal:bool! tgconstrrelid:oid! tgconstrindid:oid! tgconstraint:oid! tgdeferrable:bool! "
     "tginitdeferred:bool! tgnargs:int2! tgattr:int2vector! tgargs:bytea! tgqual:pg_node_tree tgoldtable:name "
     "tgnewtable:name"},
    {2753, "pg_catalog", "pg_opfamily", 'r', false,
     "oid:oid! opfmethod:oid! opfname:name! opfnamespace:oid! opfowner:oid!"},
    {2964, "pg_catalog", "pg_db_role_setting", 'r', true,
     "setdatabase:oid! setrole:oid! setconfig:_text"},
    {2995, "pg_catalog", "pg_largeobject_metadata", 'r', false,
     "oid:oid! lomowner:oid! lomacl:_aclitem"},
    {3079, "pg_catalog", "pg_extension", 'r', false,
     "oid:oid! extname:name! extowner:oid! extnamespace:oid! extrelocatable:bool! extversion:text! extconfig:_oid "
     "extcondition:_text"},
    {3118, "pg_catalog", "pg_foreign_table", 'r', false,
     "ftrelid:oid! ftserver:oid! ftoptions:_text"},
    {3256, "pg_catalog", "pg_policy", 'r', false,
     "oid:oid! polname:name! polrelid:oid! polcmd:char! polpermissive:bool! polroles:_oid! polqual:pg_node_tree "
     "polwithcheck:pg_node_tree"},
    {3350, "pg_catalog", "pg_partitioned_table", 'r', false,
     "partrelid:oid! partstrat:char! partnatts:int2! partdefid:oid! partattrs:int2vector! partclass:oidvector! "
     "partcollation:oidvector! partexprs:pg_node_tree"},
    {3381, "pg_catalog", "pg_statistic_ext", 'r', false,
     "oid:oid! stxrelid:oid! stxname:name! stxnamespace:oid! stxowner:oid! stxstattarget:int4! stxkeys:int2vector! "
     "stxkind:_char! stxexprs:pg_node_tree"},
    {3394, "pg_catalog", "pg_init_privs", 'r', false,
     "objoid:oid! classoid:oid! objsubid:int4! privtype:char! initprivs:_aclitem!"},
    {3456, "pg_catalog", "pg_collation", 'r', false,
     "oid:oid! collname:name! collnamespace:oid! collowner:oid! collprovider:char! collisdeterministic:bool! "
     "collencoding:int4! collcollate:text collctype:text colliculocale:text collversion:text"},
    {3466, "pg_catalog", "pg_event_trigger", 'r', false,
     "oid:oid! evtname:name! evtevent:name! evtowner:oid! evtfoid:oid! evtenabled:char! evttags:_text"},
    {3501, "pg_catalog", "pg_enum", 'r', false,
     "oid:oid! enumtypid:oid! enumsortorder:float4! enumlabel:name!"},
    {3541, "pg_catalog", "pg_range", 'r', false,
     "rngtypid:oid! rngsubtype:oid! rngmultitypid:oid! rngcollation:oid! rngsubopc:oid! rngcanonical:regproc! "
     "rngsubdiff:regproc!"},
    {3576, "pg_catalog", "pg_transform", 'r', false,
     "oid:oid! trftype:oid! trflang:oid! trffromsql:regproc! trftosql:regproc!"},
    {3592, "pg_catalog", "pg_shseclabel", 'r', true,
     "objoid:oid! classoid:oid! provider:text! label:text!"},
    {3596, "pg_catalog", "pg_seclabel", 'r', false,
     "objoid:oid! classoid:oid! objsubid:int4! provider:text! label:text!"},
    {3600, "pg_catalog", "pg_ts_dict", 'r', false,
     "oid:oid! dictname:name! dictnamespace:oid! dictowner:oid! dicttemplate:oid! dictinitoption:text"},
    {3601, "pg_catalog", "pg_ts_parser", 'r', false,
     "oid:oid! prsname:name! prsnamespace:oid! prsstart:regproc! prstoken:regproc! prsend:regproc! "
     "prsheadline:regproc! prslextype:regproc!"},
    {3602, "pg_catalog", "pg_ts_config", 'r', false,
     "oid:oid! cfgname:name! cfgnamespace:oid! cfgowner:oid! cfgparser:oid!"},
    {3603, "pg_catalog", "pg_ts_config_map", 'r', false,
     "mapcfg:oid! maptokentype:int4! mapseqno:int4! mapdict:oid!"},
    {3764, "pg_catalog", "pg_ts_template", 'r', false,
     "oid:oid! tmplname:name! tmplnamespace:oid! tmplinit:regproc! tmpllexize:regproc!"},
    {6000, "pg_catalog", "pg_replication_origin", 'r', true,
     "roident:oid! roname:text!"},
    {6100, "pg_catalog", "pg_subscription", 'r', true,
     "oid:oid! subdbid:oid! subskiplsn:pg_lsn! subname:name! subowner:oid! subenabled:bool! subbinary:bool! "
     "substream:bool! subtwophasestate:char! subdisableonerr:bool! subconninfo:text! subslotname:name "
     "subsynccommit:text! subpublications:_text!"},
    {6102, "pg_catalog", "pg_subscription_rel", 'r', false,
     "srsubid:oid! srrelid:oid! srsubstate:char! srsublsn:pg_lsn"},
    {6104, "pg_catalog", "pg_publication", 'r', false,
     "oid:oid! pubname:name! pubowner:oid! puballtables:bool! pubinsert:bool! pubupdate:bool! pubdelete:bool! "
     "pubtruncate:bool! pubviaroot:bool!"},
    {6106, "pg_catalog", "pg_publication_rel", 'r', false,
     "oid:oid! prpubid:oid! prrelid:oid! prqual:pg_node_tree prattrs:int2vector"},
    {6237, "pg_catalog", "pg_publication_namespace", 'r', false,
     "oid:oid! pnpubid:oid! pnnspid:oid!"},
    {6243, "pg_catalog", "pg_parameter_acl", 'r', true,
     "oid:oid! parname:text! paracl:_aclitem"},
    {12000, "pg_catalog", "pg_roles", 'v', false,
     "rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool "
     "rolreplication:bool rolconnlimit:int4 rolpassword:text rolvaliduntil:timestamptz rolbypassrls:bool "
     "rolconfig:_text oid:oid"},
    {12005, "pg_catalog", "pg_shadow", 'v', false,
     "usename:name usesysid:oid usecreatedb:bool usesuper:bool userepl:bool usebypassrls:bool passwd:text "
     "valuntil:timestamptz useconfig:_text"},
    {12010, "pg_catalog", "pg_group", 'v', false,
     "groname:name grosysid:oid grolist:_oid"},
    {12014, "pg_catalog", "pg_user", 'v', false,
     "usename:name usesysid:oid usecreatedb:bool usesuper:bool userepl:bool usebypassrls:bool passwd:text "
     "valuntil:timestamptz useconfig:_text"},
    {12018, "pg_catalog", "pg_policies", 'v', false,
     "schemaname:name tablename:name policyname:name permissive:text roles:_name cmd:text qual:text "
     "with_check:text"},
    {12023, "pg_catalog", "pg_rules", 'v', false,
     "schemaname:name tablename:name rulename:name definition:text"},
    {12028, "pg_catalog", "pg_views", 'v', false,
     "schemaname:name viewname:name viewowner:name definition:text"},
    {12033, "pg_catalog", "pg_tables", 'v', false,
     "schemaname:name tablename:name tableowner:name tablespace:name hasindexes:bool hasrules:bool "
     "hastriggers:bool rowsecurity:bool"},
    {12038, "pg_catalog", "pg_matviews", 'v', false,
     "schemaname:name matviewname:name matviewowner:name tablespace:name hasindexes:bool ispopulated:bool "
     "definition:text"},
    {12043, "pg_catalog", "pg_indexes", 'v', false,
     "schemaname:name tablename:name indexname:name tablespace:name indexdef:text"},
    {12048, "pg_catalog", "pg_sequences", 'v', false,
     "schemaname:name sequencename:name sequenceowner:name data_type:regtype start_value:int8 min_value:int8 "
     "max_value:int8 increment_by:int8 cycle:bool cache_size:int8 last_value:int8"},
    {12053, "pg_catalog", "pg_stats", 'v', false,
     "schemaname:name tablename:name attname:name inherited:bool null_frac:float4 avg_width:int4 n_distinct:float4 "
     "most_common_vals:anyarray most_common_freqs:_float4 histogram_bounds:anyarray correlation:float4 "
     "most_common_elems:anyarray most_common_elem_freqs:_float4 elem_count_histogram:_float4"},
    {12058, "pg_catalog", "pg_stats_ext", 'v', false,
     "schemaname:name tablename:name statistics_schemaname:name statistics_name:name statistics_owner:name "
     "attnames:_name exprs:_text kinds:_char inherited:bool n_distinct:pg_ndistinct dependencies:pg_dependencies "
     "most_common_vals:_text most_common_val_nulls:_bool most_common_freqs:_float8 most_common_base_freqs:_float8"},
    {12063, "pg_catalog", "pg_stats_ext_exprs", 'v', false,
     "schemaname:name tablename:name statistics_schemaname:name statistics_name:name statistics_owner:name "
     "expr:text inherited:bool null_frac:float4 avg_width:int4 n_distinct:float4 most_common_vals:anyarray "
     "most_common_freqs:_float4 histogram_bounds:anyarray correlation:float4 most_common_elems:anyarray "
     "most_common_elem_freqs:_float4 elem_count_histogram:_float4"},
    {12068, "pg_catalog", "pg_publication_tables", 'v', false,
     "pubname:name schemaname:name tablename:name attnames:_name rowfilter:text"},
    {12073, "pg_catalog", "pg_locks", 'v', false,
     "locktype:text database:oid relation:oid page:int4 tuple:int2 virtualxid:text transactionid:xid classid:oid "
     "objid:oid objsubid:int2 virtualtransaction:text pid:int4 mode:text granted:bool fastpath:bool "
     "waitstart:timestamptz"},
    {12081, "pg_catalog", "pg_available_extensions", 'v', false,
     "name:name default_version:text installed_version:text comment:text"},
    {12085, "pg_catalog", "pg_available_extension_versions", 'v', false,
     "name:name version:text installed:bool superuser:bool trusted:bool relocatable:bool schema:name "
     "requires:_name comment:text"},
    {12090, "pg_catalog", "pg_prepared_xacts", 'v', false,
     "transaction:xid gid:text prepared:timestamptz owner:name database:name"},
    {12099, "pg_catalog", "pg_seclabels", 'v', false,
     "objoid:oid classoid:oid objsubid:int4 objtype:text objnamespace:oid objname:text provider:text label:text"},
    {12104, "pg_catalog", "pg_settings", 'v', false,
     "name:text setting:text unit:text category:text short_desc:text extra_desc:text context:text vartype:text "
     "source:text min_val:text max_val:text enumvals:_text boot_val:text reset_val:text sourcefile:text "
     "sourceline:int4 pending_restart:bool"},
    {12142, "pg_catalog", "pg_stat_all_tables", 'v', false,
     "relid:oid schemaname:name relname:name seq_scan:int8 seq_tup_read:int8 idx_scan:int8 idx_tup_fetch:int8 "
     "n_tup_ins:int8 n_tup_upd:int8 n_tup_del:int8 n_tup_hot_upd:int8 n_live_tup:int8 n_dead_tup:int8 "
     "n_mod_since_analyze:int8 n_ins_since_vacuum:int8 last_vacuum:timestamptz last_autovacuum:timestamptz "
     "last_analyze:timestamptz last_autoanalyze:timestamptz vacuum_count:int8 autovacuum_count:int8 "
     "analyze_count:int8 autoanalyze_count:int8"},
    {12152, "pg_catalog", "pg_stat_sys_tables", 'v', false,
     "relid:oid schemaname:name relname:name seq_scan:int8 seq_tup_read:int8 idx_scan:int8 idx_tup_fetch:int8 "
     "n_tup_ins:int8 n_tup_upd:int8 n_tup_del:int8 n_tup_hot_upd:int8 n_live_tup:int8 n_dead_tup:int8 "
     "n_mod_since_analyze:int8 n_ins_since_vacuum:int8 last_vacuum:timestamptz last_autovacuum:timestamptz "
     "last_analyze:timestamptz last_autoanalyze:timestamptz vacuum_count:int8 autovacuum_count:int8 "
     "analyze_count:int8 autoanalyze_count:int8"},
    {12161, "pg_catalog", "pg_stat_user_tables", 'v', false,
     "relid:oid schemaname:name relname:name seq_scan:int8 seq_tup_read:int8 idx_scan:int8 idx_tup_fetch:int8 "
     "n_tup_ins:int8 n_tup_upd:int8 n_tup_del:int8 n_tup_hot_upd:int8 n_live_tup:int8 n_dead_tup:int8 "
     "n_mod_since_analyze:int8 n_ins_since_vacuum:int8 last_vacuum:timestamptz last_autovacuum:timestamptz "
     "last_analyze:timestamptz last_autoanalyze:timestamptz vacuum_count:int8 autovacuum_count:int8 "
     "analyze_count:int8 autoanalyze_count:int8"},
    {12183, "pg_catalog", "pg_stat_all_indexes", 'v', false,
     "relid:oid indexrelid:oid schemaname:name relname:name indexrelname:name idx_scan:int8 idx_tup_read:int8 "
     "idx_tup_fetch:int8"},
    {12188, "pg_catalog", "pg_stat_sys_indexes", 'v', false,
     "relid:oid indexrelid:oid schemaname:name relname:name indexrelname:name idx_scan:int8 idx_tup_read:int8 "
     "idx_tup_fetch:int8"},
    {12192, "pg_catalog", "pg_stat_user_indexes", 'v', false,
     "relid:oid indexrelid:oid schemaname:name relname:name indexrelname:name idx_scan:int8 idx_tup_read:int8 "
     "idx_tup_fetch:int8"},
    {12222, "pg_catalog", "pg_stat_activity", 'v', false,
     "datid:oid datname:name pid:int4 leader_pid:int4 usesysid:oid usename:name application_name:text "
     "client_addr:inet client_hostname:text client_port:int4 backend_start:timestamptz xact_start:timestamptz "
     "query_start:timestamptz state_change:timestamptz wait_event_type:text wait_event:text state:text "
     "backend_xid:xid backend_xmin:xid query_id:int8 query:text backend_type:text"},
    {12227, "pg_catalog", "pg_stat_replication", 'v', false,
     "pid:int4 usesysid:oid usename:name application_name:text client_addr:inet client_hostname:text "
     "client_port:int4 backend_start:timestamptz backend_xmin:xid state:text sent_lsn:pg_lsn write_lsn:pg_lsn "
     "flush_lsn:pg_lsn replay_lsn:pg_lsn write_lag:interval flush_lag:interval replay_lag:interval "
     "sync_priority:int4 sync_state:text reply_time:timestamptz"},
    {12236, "pg_catalog", "pg_stat_wal_receiver", 'v', false,
     "pid:int4 status:text receive_start_lsn:pg_lsn receive_start_tli:int4 written_lsn:pg_lsn flushed_lsn:pg_lsn "
     "received_tli:int4 last_msg_send_time:timestamptz last_msg_receipt_time:timestamptz latest_end_lsn:pg_lsn "
     "latest_end_time:timestamptz slot_name:text sender_host:text sender_port:int4 conninfo:text"},
    {12244, "pg_catalog", "pg_stat_subscription", 'v', false,
     "subid:oid subname:name pid:int4 relid:oid received_lsn:pg_lsn last_msg_send_time:timestamptz "
     "last_msg_receipt_time:timestamptz latest_end_lsn:pg_lsn latest_end_time:timestamptz"},
    {12257, "pg_catalog", "pg_replication_slots", 'v', false,
     "slot_name:name plugin:name slot_type:text datoid:oid database:name temporary:bool active:bool "
     "active_pid:int4 xmin:xid catalog_xmin:xid restart_lsn:pg_lsn confirmed_flush_lsn:pg_lsn wal_status:text "
     "safe_wal_size:int8 two_phase:bool"},
    {12275, "pg_catalog", "pg_stat_user_functions", 'v', false,
     "funcid:oid schemaname:name funcname:name calls:int8 total_time:float8 self_time:float8"},
    {12297, "pg_catalog", "pg_stat_progress_analyze", 'v', false,
     "pid:int4 datid:oid datname:name relid:oid phase:text sample_blks_total:int8 sample_blks_scanned:int8 "
     "ext_stats_total:int8 ext_stats_computed:int8 child_tables_total:int8 child_tables_done:int8 "
     "current_child_table_relid:oid"},
    {12302, "pg_catalog", "pg_stat_progress_vacuum", 'v', false,
     "pid:int4 datid:oid datname:name relid:oid phase:text heap_blks_total:int8 heap_blks_scanned:int8 "
     "heap_blks_vacuumed:int8 index_vacuum_count:int8 max_dead_tuples:int8 num_dead_tuples:int8"},
    {12307, "pg_catalog", "pg_stat_progress_cluster", 'v', false,
     "pid:int4 datid:oid datname:name relid:oid command:text phase:text cluster_index_relid:oid "
     "heap_tuples_scanned:int8 heap_tuples_written:int8 heap_blks_total:int8 heap_blks_scanned:int8 "
     "index_rebuild_count:int8"},
    {12312, "pg_catalog", "pg_stat_progress_create_index", 'v', false,
     "pid:int4 datid:oid datname:name relid:oid index_relid:oid command:text phase:text lockers_total:int8 "
     "lockers_done:int8 current_locker_pid:int8 blocks_total:int8 blocks_done:int8 tuples_total:int8 "
     "tuples_done:int8 partitions_total:int8 partitions_done:int8"},
    {12317, "pg_catalog", "pg_stat_progress_basebackup", 'v', false,
     "pid:int4 phase:text backup_total:int8 backup_streamed:int8 tablespaces_total:int8 tablespaces_streamed:int8"},
    {12322, "pg_catalog", "pg_stat_progress_copy", 'v', false,
     "pid:int4 datid:oid datname:name relid:oid command:text type:text bytes_processed:int8 bytes_total:int8 "
     "tuples_processed:int8 tuples_excluded:int8"},
    {12327, "pg_catalog", "pg_user_mappings", 'v', false,
     "umid:oid srvid:oid srvname:name umuser:oid usename:name umoptions:_text"},
    {12332, "pg_catalog", "pg_replication_origin_status", 'v', false,
     "local_id:oid external_id:text remote_lsn:pg_lsn local_lsn:pg_lsn"},
    {13227, "information_schema", "information_schema_catalog_name", 'v', false,
     "catalog_name:name"},
    {13236, "information_schema", "applicable_roles", 'v', false,
     "grantee:name role_name:name is_grantable:varchar(7)"},
    {13241, "information_schema", "administrable_role_authorizations", 'v', false,
     "grantee:name role_name:name is_grantable:varchar(7)"},
    {13245, "information_schema", "attributes", 'v', false,
     "udt_catalog:name udt_schema:name udt_name:name attribute_name:name ordinal_position:int4 "
     "attribute_default:varchar is_nullable:varchar(7) data_type:varchar character_maximum_length:int4 "
     "character_octet_length:int4 character_set_catalog:name character_set_schema:name character_set_name:name "
     "collation_catalog:name collation_schema:name collation_name:name numeric_precision:int4 "
     "numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4 interval_type:varchar "
     "interval_precision:int4 attribute_udt_catalog:name attribute_udt_schema:name attribute_udt_name:name "
     "scope_catalog:name scope_schema:name scope_name:name maximum_cardinality:int4 dtd_identifier:name "
     "is_derived_reference_attribute:varchar(7)"},
    {13250, "information_schema", "character_sets", 'v', false,
     "character_set_catalog:name character_set_schema:name character_set_name:name character_repertoire:name "
     "form_of_use:name default_collate_catalog:name default_collate_schema:name default_collate_name:name"},
    {13260, "information_schema", "check_constraints", 'v', false,
     "constraint_catalog:name constraint_schema:name constraint_name:name check_clause:varchar"},
    {13295, "information_schema", "columns", 'v', false,
     "table_catalog:name table_schema:name table_name:name column_name:name ordinal_position:int4 "
     "column_default:varchar is_nullable:varchar(7) data_type:varchar character_maximum_length:int4 "
     "character_octet_length:int4 numeric_precision:int4 numeric_precision_radix:int4 numeric_scale:int4 "
     "datetime_precision:int4 interval_type:varchar interval_precision:int4 character_set_catalog:name "
     "character_set_schema:name character_set_name:name collation_catalog:name collation_schema:name "
     "collation_name:name domain_catalog:name domain_schema:name domain_name:name udt_catalog:name udt_schema:name "
     "udt_name:name scope_catalog:name scope_schema:name scope_name:name maximum_cardinality:int4 "
     "dtd_identifier:name is_self_referencing:varchar(7) is_identity:varchar(7) identity_generation:varchar "
     "identity_start:varchar identity_increment:varchar identity_maximum:varchar identity_minimum:varchar "
     "identity_cycle:varchar(7) is_generated:varchar generation_expression:varchar is_updatable:varchar(7)"},
    {13300, "information_schema", "constraint_column_usage", 'v', false,
     "table_catalog:name table_schema:name table_name:name column_name:name constraint_catalog:name "
     "constraint_schema:name constraint_name:name"},
    {13305, "information_schema", "constraint_table_usage", 'v', false,
     "table_catalog:name table_schema:name table_name:name constraint_catalog:name constraint_schema:name "
     "constraint_name:name"},
    {13310, "information_schema", "domain_constraints", 'v', false,
     "constraint_catalog:name constraint_schema:name constraint_name:name domain_catalog:name domain_schema:name "
     "domain_name:name is_deferrable:varchar(7) initially_deferred:varchar(7)"},
    {13315, "information_schema", "domain_udt_usage", 'v', false,
     "udt_catalog:name udt_schema:name udt_name:name domain_catalog:name domain_schema:name domain_name:name"},
    {13320, "information_schema", "domains", 'v', false,
     "domain_catalog:name domain_schema:name domain_name:name data_type:varchar character_maximum_length:int4 "
     "character_octet_length:int4 character_set_catalog:name character_set_schema:name character_set_name:name "
     "collation_catalog:name collation_schema:name collation_name:name numeric_precision:int4 "
     "numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4 interval_type:varchar "
     "interval_precision:int4 domain_default:varchar udt_catalog:name udt_schema:name udt_name:name "
     "scope_catalog:name scope_schema:name scope_name:name maximum_cardinality:int4 dtd_identifier:name"},
    {13325, "information_schema", "enabled_roles", 'v', false,
     "role_name:name"},
    {13329, "information_schema", "key_column_usage", 'v', false,
     "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name "
     "table_name:name column_name:name ordinal_position:int4 position_in_unique_constraint:int4"},
    {13339, "information_schema", "referential_constraints", 'v', false,
     "constraint_catalog:name constraint_schema:name constraint_name:name unique_constraint_catalog:name "
     "unique_constraint_schema:name unique_constraint_name:name match_option:varchar update_rule:varchar "
     "delete_rule:varchar"},
    {13348, "information_schema", "routine_column_usage", 'v', false,
     "specific_catalog:name specific_schema:name specific_name:name routine_catalog:name routine_schema:name "
     "routine_name:name table_catalog:name table_schema:name table_name:name column_name:name"},
    {13362, "information_schema", "routine_routine_usage", 'v', false,
     "specific_catalog:name specific_schema:name specific_name:name routine_catalog:name routine_schema:name "
     "routine_name:name"},
    {13367, "information_schema", "routine_sequence_usage", 'v', false,
     "specific_catalog:name specific_schema:name specific_name:name routine_catalog:name routine_schema:name "
     "routine_name:name sequence_catalog:name sequence_schema:name sequence_name:name"},
    {13372, "information_schema", "routine_table_usage", 'v', false,
     "specific_catalog:name specific_schema:name specific_name:name routine_catalog:name routine_schema:name "
     "routine_name:name table_catalog:name table_schema:name table_name:name"},
    {13382, "information_schema", "schemata", 'v', false,
     "catalog_name:name schema_name:name schema_owner:name default_character_set_catalog:name "
     "default_character_set_schema:name default_character_set_name:name sql_path:varchar"},
    {13386, "information_schema", "sequences", 'v', false,
     "sequence_catalog:name sequence_schema:name sequence_name:name data_type:varchar numeric_precision:int4 "
     "numeric_precision_radix:int4 numeric_scale:int4 start_value:varchar minimum_value:varchar "
     "maximum_value:varchar increment:varchar cycle_option:varchar(7)"},
    {13411, "information_schema", "table_constraints", 'v', false,
     "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name "
     "table_name:name constraint_type:varchar is_deferrable:varchar(7) initially_deferred:varchar(7) "
     "enforced:varchar(7) nulls_distinct:varchar(7)"},
    {13416, "information_schema", "table_privileges", 'v', false,
     "grantor:name grantee:name table_catalog:name table_schema:name table_name:name privilege_type:varchar "
     "is_grantable:varchar(7) with_hierarchy:varchar(7)"},
    {13421, "information_schema", "role_table_grants", 'v', false,
     "grantor:name grantee:name table_catalog:name table_schema:name table_name:name privilege_type:varchar "
     "is_grantable:varchar(7) with_hierarchy:varchar(7)"},
    {13425, "information_schema", "tables", 'v', false,
     "table_catalog:name table_schema:name table_name:name table_type:varchar self_referencing_column_name:name "
     "reference_generation:varchar user_defined_type_catalog:name user_defined_type_schema:name "
     "user_defined_type_name:name is_insertable_into:varchar(7) is_typed:varchar(7) commit_action:varchar"},
    {13430, "information_schema", "transforms", 'v', false,
     "udt_catalog:name udt_schema:name udt_name:name specific_catalog:name specific_schema:name specific_name:name "
     "group_name:name transform_type:varchar"},
    {13435, "information_schema", "triggered_update_columns", 'v', false,
     "trigger_catalog:name trigger_schema:name trigger_name:name event_object_catalog:name "
     "event_object_schema:name event_object_table:name event_object_column:name"},
    {13440, "information_schema", "triggers", 'v', false,
     "trigger_catalog:name trigger_schema:name trigger_name:name event_manipulation:varchar "
     "event_object_catalog:name event_object_schema:name event_object_table:name action_order:int4 "
     "action_condition:varchar action_statement:varchar action_orientation:varchar action_timing:varchar "
     "action_reference_old_table:name action_reference_new_table:name action_reference_old_row:name "
     "action_reference_new_row:name created:timestamptz(2)"},
    {13463, "information_schema", "user_defined_types", 'v', false,
     "user_defined_type_catalog:name user_defined_type_schema:name user_defined_type_name:name "
     "user_defined_type_category:varchar is_instantiable:varchar(7) is_final:varchar(7) ordering_form:varchar "
     "ordering_category:varchar ordering_routine_catalog:name ordering_routine_schema:name "
     "ordering_routine_name:name reference_type:varchar data_type:varchar character_maximum_length:int4 "
     "character_octet_length:int4 character_set_catalog:name character_set_schema:name character_set_name:name "
     "collation_catalog:name collation_schema:name collation_name:name numeric_precision:int4 "
     "numeric_precision_radix:int4 numeric_scale:int4 datetime_precision:int4 interval_type:varchar "
     "interval_precision:int4 source_dtd_identifier:name ref_dtd_identifier:name"},
    {13473, "information_schema", "view_routine_usage", 'v', false,
     "table_catalog:name table_schema:name table_name:name specific_catalog:name specific_schema:name "
     "specific_name:name"},
    {13483, "information_schema", "views", 'v', false,
     "table_catalog:name table_schema:name table_name:name view_definition:varchar check_option:varchar "
     "is_updatable:varchar(7) is_insertable_into:varchar(7) is_trigger_updatable:varchar(7) "
     "is_trigger_deletable:varchar(7) is_trigger_insertable_into:varchar(7)"},
    {13503, "information_schema", "column_options", 'v', false,
     "table_catalog:name table_schema:name table_name:name column_name:name option_name:name option_value:varchar"},
    {13511, "information_schema", "foreign_data_wrapper_options", 'v', false,
     "foreign_data_wrapper_catalog:name foreign_data_wrapper_name:name option_name:name option_value:varchar"},
    {13515, "information_schema", "foreign_data_wrappers", 'v', false,
     "foreign_data_wrapper_catalog:name foreign_data_wrapper_name:name authorization_identifier:name "
     "library_name:varchar foreign_data_wrapper_language:varchar"},
    {13524, "information_schema", "foreign_server_options", 'v', false,
     "foreign_server_catalog:name foreign_server_name:name option_name:name option_value:varchar"},
    {13528, "information_schema", "foreign_servers", 'v', false,
     "foreign_server_catalog:name foreign_server_name:name foreign_data_wrapper_catalog:name "
     "foreign_data_wrapper_name:name foreign_server_type:varchar foreign_server_version:varchar "
     "authorization_identifier:name"},
    {13537, "information_schema", "foreign_table_options", 'v', false,
     "foreign_table_catalog:name foreign_table_schema:name foreign_table_name:name option_name:name "
     "option_value:varchar"},
    {13541, "information_schema", "foreign_tables", 'v', false,
     "foreign_table_catalog:name foreign_table_schema:name foreign_table_name:name foreign_server_catalog:name "
     "foreign_server_name:name"},
    {13550, "information_schema", "user_mapping_options", 'v', false,
     "authorization_identifier:name foreign_server_catalog:name foreign_server_name:name option_name:name "
     "option_value:varchar"},
    {13555, "information_schema", "user_mappings", 'v', false,
     "authorization_identifier:name foreign_server_catalog:name foreign_server_name:name"},
};

}  // namespace

std::span<const RelationFact> RelationFacts() { return kRelations; }

}  // namespace insula::sql

// The parameters, by category. Names, types, bounds and defaults are PostgreSQL 15's.
#include <algorithm>
#include <climits>
#include <vector>

#include "base/strings.h"
#include "sql/session/setting_info.h"

namespace insula::sql {
namespace {

using enum SettingType;
using enum SettingContext;
using enum SettingUnit;
using enum SettingEffect;
constexpr double kMaxInt = INT_MAX;

constexpr std::string_view kConnection = "Connections and Authentication";
constexpr std::string_view kClient = "Client Connection Defaults / Statement Behavior";
constexpr std::string_view kLocale = "Client Connection Defaults / Locale and Formatting";
constexpr std::string_view kCompat = "Version and Platform Compatibility";
constexpr std::string_view kPreset = "Preset Options";
constexpr std::string_view kPlanner = "Query Tuning / Planner Method Configuration";
constexpr std::string_view kCost = "Query Tuning / Planner Cost Constants";
constexpr std::string_view kMemory = "Resource Usage / Memory";
constexpr std::string_view kLogging = "Reporting and Logging / What to Log";
constexpr std::string_view kWal = "Write-Ahead Log / Settings";
constexpr std::string_view kLocks = "Lock Management";
constexpr std::string_view kAutovacuum = "Autovacuum";
constexpr std::string_view kError = "Error Handling";

SettingInfo Bool(std::string_view name, std::string_view value, SettingEffect effect, std::string_view category,
                 std::string_view description, SettingContext context = kUser) {
  return {.name = name, .type = kBool, .context = context, .default_value = value, .effect = effect, .category = category,
          .description = description};
}
SettingInfo Int(std::string_view name, std::string_view value, double min, double max, SettingUnit unit, SettingEffect effect,
                std::string_view category, std::string_view description, SettingContext context = kUser) {
  return {.name = name, .type = kInt, .context = context, .default_value = value, .unit = unit, .min = min, .max = max,
          .effect = effect, .category = category, .description = description};
}
SettingInfo Real(std::string_view name, std::string_view value, double min, double max, std::string_view category,
                 std::string_view description) {
  return {.name = name, .type = kReal, .default_value = value, .min = min, .max = max, .category = category,
          .description = description};
}
SettingInfo Text(std::string_view name, std::string_view value, SettingEffect effect, std::string_view category,
                 std::string_view description, SettingContext context = kUser) {
  return {.name = name, .type = kString, .context = context, .default_value = value, .effect = effect, .category = category,
          .description = description};
}
SettingInfo Enum(std::string_view name, std::string_view value, std::string_view choices, SettingEffect effect,
                 std::string_view category, std::string_view description, SettingContext context = kUser) {
  return {.name = name, .type = kEnum, .context = context, .default_value = value, .choices = choices, .effect = effect,
          .category = category, .description = description};
}
SettingInfo Reported(SettingInfo info) {
  info.report = true;
  return info;
}
SettingInfo List(SettingInfo info, bool quote) {
  info.list = true;
  info.quote_list = quote;
  return info;
}

constexpr std::string_view kLevels =
    "debug5,debug4,debug3,debug2,debug1,log,notice,warning,error|debug=debug2,info=info,fatal=fatal,panic=panic";
constexpr std::string_view kIsolationLevels = "serializable,repeatable read,read committed,read uncommitted";

void AddClient(std::vector<SettingInfo>* out) {
  out->insert(
      out->end(),
      {
          Reported(Text("application_name", "", kYes, kLogging, "Name of the application, as it shows in statistics and logs.")),
          Enum("backslash_quote", "safe_encoding", "safe_encoding,on,off|true=on,yes=on,1=on,false=off,no=off,0=off", kAccepted, kCompat,
               "Whether \\' is taken in string literals."),
          Enum("bytea_output", "hex", "escape,hex", kYes, kClient, "How bytea values are printed."),
          Bool("check_function_bodies", "on", kAccepted, kClient, "Checks functions when they are created."),
          Int("client_connection_check_interval", "0", 0, kMaxInt, kMilliseconds, kAccepted, kConnection,
              "How often a running query looks whether its client is still there."),
          Reported(Text("client_encoding", "UTF8", kYes, kLocale, "Character set of the client. Only UTF8 is converted to.")),
          Enum("client_min_messages", "notice", kLevels, kYes, kClient, "Least severity of messages sent to the client."),
          List(Reported(Text("DateStyle", "ISO, MDY", kYes, kLocale, "How dates are printed, and how ambiguous ones are read.")), false),
          Bool("default_transaction_deferrable", "off", kYes, kClient, "Whether new transactions are deferrable."),
          Enum("default_transaction_isolation", "read committed", kIsolationLevels, kYes, kClient, "Isolation level of new transactions."),
          Reported(Bool("default_transaction_read_only", "off", kYes, kClient, "Whether new transactions are read-only.")),
          Text("default_tablespace", "", kAccepted, kClient, "Tablespace of new objects. There is one."),
          Text("default_table_access_method", "heap", kAccepted, kClient, "Access method of new tables."),
          Text("default_text_search_config", "pg_catalog.simple", kAccepted, kLocale, "Text search configuration."),
          Enum("default_toast_compression", "pglz", "pglz,lz4", kAccepted, kClient, "Compression of large values."),
          Text("dynamic_library_path", "$libdir", kAccepted, kClient, "Path of loadable modules.", kSuperuser),
          Bool("escape_string_warning", "on", kAccepted, kCompat, "Warns of backslashes in ordinary literals."),
          Bool("exit_on_error", "off", kAccepted, kError, "Ends the session on any error."),
          Int("extra_float_digits", "1", -15, 3, kNone, kYes, kLocale, "Digits of floating-point values."),
          Int("gin_fuzzy_search_limit", "0", 0, kMaxInt, kNone, kAccepted, kClient, "Most rows of a GIN search."),
          Int("gin_pending_list_limit", "4096", 64, kMaxInt, kKilobytes, kAccepted, kClient, "Size of GIN pending lists."),
          Int("idle_in_transaction_session_timeout", "0", 0, kMaxInt, kMilliseconds, kYes, kClient,
              "How long a session may idle inside a transaction."),
          Int("idle_session_timeout", "0", 0, kMaxInt, kMilliseconds, kYes, kClient, "How long a session may idle outside a transaction."),
          Reported(Enum("IntervalStyle", "postgres", "postgres,postgres_verbose,sql_standard,iso_8601", kYes, kLocale,
                        "How intervals are printed.")),
          Bool("lo_compat_privileges", "off", kAccepted, kCompat, "Large-object privileges of old.", kSuperuser),
          Text("lc_messages", "C", kAccepted, kLocale, "Language of messages.", kSuperuser),
          Text("lc_monetary", "C", kAccepted, kLocale, "Locale of monetary amounts."),
          Text("lc_numeric", "C", kAccepted, kLocale, "Locale of numbers."),
          Text("lc_time", "C", kAccepted, kLocale, "Locale of dates and times."),
          Text("local_preload_libraries", "", kAccepted, kClient, "Libraries to load."),
          Int("lock_timeout", "0", 0, kMaxInt, kMilliseconds, kYes, kClient, "How long a statement waits for a lock."),
          Enum("password_encryption", "scram-sha-256", "md5,scram-sha-256", kYes, kConnection, "How passwords are kept."),
          Bool("quote_all_identifiers", "off", kAccepted, kCompat, "Quotes every identifier in generated SQL."),
          Text("role", "none", kYes, kClient, "The current role."),
          Bool("row_security", "on", kAccepted, kClient, "Applies row-level security."),
          List(Text("search_path", "\"$user\", public", kYes, kClient, "Schemas searched for names without one."), true),
          Real("seed", "0", -1, 1, kClient, "Seed of random()."),
          Reported(Text("session_authorization", "", kYes, kClient, "The session's user.")),
          Text("session_preload_libraries", "", kAccepted, kClient, "Libraries to load.", kSuperuser),
          Enum("session_replication_role", "origin", "origin,replica,local", kAccepted, kClient, "Which triggers fire.", kSuperuser),
          Reported(Bool("standard_conforming_strings", "on", kYes, kCompat, "Backslashes in ordinary literals are ordinary.")),
          Int("statement_timeout", "0", 0, kMaxInt, kMilliseconds, kYes, kClient, "How long a statement may run."),
          Bool("synchronize_seqscans", "on", kAccepted, kCompat, "Lets scans of a table start together."),
          Enum("synchronous_commit", "on", "local,remote_write,remote_apply,on,off|true=on,yes=on,1=on,false=off,no=off,0=off", kAccepted,
               kWal, "Whether COMMIT waits for durability. It always does."),
          List(Text("temp_tablespaces", "", kAccepted, kClient, "Tablespaces of temporary objects."), true),
          Reported(Text("TimeZone", "Etc/UTC", kYes, kLocale, "Time zone of timestamps.")),
          Text("timezone_abbreviations", "Default", kAccepted, kLocale, "Set of time zone abbreviations."),
          Bool("transaction_deferrable", "off", kYes, kClient, "Whether the current transaction is deferrable."),
          Enum("transaction_isolation", "read committed", kIsolationLevels, kYes, kClient, "Isolation level of the current transaction."),
          Bool("transaction_read_only", "off", kYes, kClient, "Whether the current transaction is read-only."),
          Bool("transform_null_equals", "off", kAccepted, kCompat, "Treats = NULL as IS NULL."),
          Enum("xmlbinary", "base64", "base64,hex", kAccepted, kClient, "How binary values stand in XML."),
          Enum("xmloption", "content", "content,document", kAccepted, kClient, "Whether XML is a document or content."),
          Bool("array_nulls", "on", kYes, kCompat, "Reads NULL in array input as a null element."),
          Bool("zero_damaged_pages", "off", kAccepted, kError, "Goes on past damaged pages.", kSuperuser),
          Int("vacuum_cost_delay", "0", 0, 100, kMilliseconds, kAccepted, kAutovacuum, "Pause of VACUUM."),
          Int("vacuum_cost_limit", "200", 1, 10000, kNone, kAccepted, kAutovacuum, "Work of VACUUM between pauses."),
          Int("vacuum_freeze_min_age", "50000000", 0, 1e9, kNone, kAccepted, kAutovacuum, "Age of rows that VACUUM freezes."),
          Int("vacuum_freeze_table_age", "150000000", 0, 2e9, kNone, kAccepted, kAutovacuum, "Age of tables that VACUUM freezes."),
          Enum("plan_cache_mode", "auto", "auto,force_generic_plan,force_custom_plan", kAccepted, kPlanner, "Which plans prepared statements use."),
          Enum("stats_fetch_consistency", "cache", "none,cache,snapshot", kAccepted, kClient, "How statistics are read."),
      });
}

void AddPlanner(std::vector<SettingInfo>* out) {
  for (std::string_view name :
       {"enable_async_append", "enable_bitmapscan", "enable_gathermerge", "enable_hashagg", "enable_hashjoin", "enable_incremental_sort",
        "enable_indexonlyscan", "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop",
        "enable_parallel_append", "enable_parallel_hash", "enable_partition_pruning", "enable_seqscan", "enable_sort", "enable_tidscan",
        "geqo", "jit", "jit_expressions", "jit_tuple_deforming"}) {
    out->push_back(Bool(name, name == "jit" ? "off" : "on", kAccepted, kPlanner, "A method of the planner."));
  }
  out->push_back(Bool("enable_partitionwise_aggregate", "off", kAccepted, kPlanner, "A method of the planner."));
  out->push_back(Bool("enable_partitionwise_join", "off", kAccepted, kPlanner, "A method of the planner."));
  out->push_back(Bool("parallel_leader_participation", "on", kAccepted, kPlanner, "Whether a leader works, too."));
  for (auto [name, value] : std::initializer_list<std::pair<std::string_view, std::string_view>>{{"cpu_index_tuple_cost", "0.005"},
                                                                                                {"cpu_operator_cost", "0.0025"},
                                                                                                {"cpu_tuple_cost", "0.01"},
                                                                                                {"parallel_setup_cost", "1000"},
                                                                                                {"parallel_tuple_cost", "0.1"},
                                                                                                {"random_page_cost", "4"},
                                                                                                {"seq_page_cost", "1"}}) {
    out->push_back(Real(name, value, 0, 1.79769e308, kCost, "A cost estimate of the planner."));
  }
  for (std::string_view name : {"jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost"}) {
    out->push_back(Real(name, name == "jit_above_cost" ? "100000" : "500000", -1, 1.79769e308, kCost, "A cost limit of the planner."));
  }
  out->insert(out->end(),
              {
                  Enum("constraint_exclusion", "partition", "partition,on,off|true=on,yes=on,1=on,false=off,no=off,0=off", kAccepted, kPlanner,
                       "Uses constraints to leave tables out."),
                  Real("cursor_tuple_fraction", "0.1", 0, 1, kPlanner, "Share of a cursor's rows that is expected to be read."),
                  Int("default_statistics_target", "100", 1, 10000, kNone, kAccepted, kPlanner, "Detail of statistics."),
                  Int("effective_cache_size", "524288", 1, kMaxInt, kBlocks, kAccepted, kCost, "Assumed size of the cache."),
                  Int("effective_io_concurrency", "1", 0, 1000, kNone, kAccepted, kMemory, "Concurrent disk requests."),
                  Enum("force_parallel_mode", "off", "off,on,regress|true=on,yes=on,1=on,false=off,no=off,0=off", kAccepted, kPlanner,
                       "Forces parallel plans."),
                  Int("from_collapse_limit", "8", 1, kMaxInt, kNone, kAccepted, kPlanner, "Size of merged FROM lists."),
                  Int("geqo_effort", "5", 1, 10, kNone, kAccepted, kPlanner, "Effort of the genetic planner."),
                  Int("geqo_threshold", "12", 2, kMaxInt, kNone, kAccepted, kPlanner, "FROM items from which the genetic planner plans."),
                  Real("hash_mem_multiplier", "2", 1, 1000, kMemory, "How much more than work_mem hash tables may take."),
                  Int("join_collapse_limit", "8", 1, kMaxInt, kNone, kAccepted, kPlanner, "Size of reordered joins."),
                  Int("max_parallel_maintenance_workers", "2", 0, 1024, kNone, kAccepted, kMemory, "Workers of one maintenance command."),
                  Int("max_parallel_workers", "8", 0, 1024, kNone, kAccepted, kMemory, "Parallel workers at once."),
                  Int("max_parallel_workers_per_gather", "2", 0, 1024, kNone, kAccepted, kMemory, "Parallel workers of one node."),
                  Int("min_parallel_index_scan_size", "64", 0, 715827882, kBlocks, kAccepted, kCost, "Size from which indexes are scanned in parallel."),
                  Int("min_parallel_table_scan_size", "1024", 0, 715827882, kBlocks, kAccepted, kCost, "Size from which tables are scanned in parallel."),
                  Real("recursive_worktable_factor", "10", 0.001, 1e6, kPlanner, "Assumed size of recursive work tables."),
              });
}

void AddServer(std::vector<SettingInfo>* out) {
  for (std::string_view name : {"debug_pretty_print", "debug_print_parse", "debug_print_plan", "debug_print_rewritten",
                                "log_executor_stats", "log_parser_stats", "log_planner_stats", "log_statement_stats", "log_duration",
                                "log_lock_waits"}) {
    out->push_back(Bool(name, name == "debug_pretty_print" ? "on" : "off", kAccepted, kLogging, "What the server logs."));
  }
  for (std::string_view name : {"track_activities", "track_counts"}) {
    out->push_back(Bool(name, "on", kAccepted, "Statistics", "What statistics are kept.", kSuperuser));
  }
  for (std::string_view name : {"track_io_timing", "track_wal_io_timing"}) {
    out->push_back(Bool(name, "off", kAccepted, "Statistics", "What statistics are kept.", kSuperuser));
  }
  out->insert(
      out->end(),
      {
          Int("archive_timeout", "0", 0, 1073741823, kSeconds, kAccepted, kWal, "Time after which a log file is closed.", kSighup),
          Bool("autovacuum", "on", kAccepted, kAutovacuum, "Cleans up in the background.", kSighup),
          Int("autovacuum_naptime", "60", 1, 2147483, kSeconds, kAccepted, kAutovacuum, "Pause between clean-ups.", kSighup),
          Int("backend_flush_after", "0", 0, 256, kBlocks, kAccepted, kMemory, "Pages after which writes are flushed."),
          Int("block_size", "8192", 8192, 8192, kNone, kAccepted, kPreset, "Size of a disk block.", kInternal),
          Text("cluster_name", "", kAccepted, kLogging, "Name of the cluster.", kPostmaster),
          Int("commit_delay", "0", 0, 100000, kNone, kAccepted, kWal, "Pause before a commit's flush, µs.", kSuperuser),
          Int("commit_siblings", "5", 0, 1000, kNone, kAccepted, kWal, "Transactions from which commits pause."),
          Bool("data_checksums", "on", kYes, kPreset, "Data carries checksums.", kInternal),
          Int("deadlock_timeout", "1000", 1, kMaxInt, kMilliseconds, kAccepted, kLocks, "Wait before deadlocks are looked for.", kSuperuser),
          Bool("fsync", "on", kYes, kWal, "Writes reach the disk before they are acknowledged.", kSighup),
          Bool("full_page_writes", "on", kAccepted, kWal, "Writes whole pages to the log.", kSighup),
          Bool("hot_standby", "on", kAccepted, kWal, "Takes queries while it follows.", kPostmaster),
          Bool("ignore_checksum_failure", "off", kAccepted, kError, "Goes on past checksum failures.", kSuperuser),
          Reported(Bool("in_hot_standby", "off", kYes, kPreset, "Whether this is a standby.", kInternal)),
          Reported(Bool("integer_datetimes", "on", kYes, kPreset, "Timestamps are integers.", kInternal)),
          Reported(Bool("is_superuser", "off", kYes, kPreset, "Whether the current user is a superuser.", kInternal)),
          Text("lc_collate", "C", kYes, kPreset, "Order of text.", kInternal),
          Text("lc_ctype", "C", kYes, kPreset, "Classes of characters.", kInternal),
          Text("listen_addresses", "*", kAccepted, kConnection, "Where the server listens.", kPostmaster),
          Enum("log_error_verbosity", "default", "terse,default,verbose", kAccepted, kLogging, "Detail of logged messages.", kSuperuser),
          Int("log_min_duration_statement", "-1", -1, kMaxInt, kMilliseconds, kAccepted, kLogging, "Logs statements that took as long.", kSuperuser),
          Int("log_min_duration_sample", "-1", -1, kMaxInt, kMilliseconds, kAccepted, kLogging, "Logs some of the statements that took as long.", kSuperuser),
          Enum("log_min_error_statement", "error", kLevels, kAccepted, kLogging, "Logs statements with errors as severe.", kSuperuser),
          Enum("log_min_messages", "warning", kLevels, kAccepted, kLogging, "Logs messages as severe.", kSuperuser),
          Enum("log_statement", "none", "none,ddl,mod,all", kAccepted, kLogging, "Which statements are logged.", kSuperuser),
          Int("log_temp_files", "-1", -1, kMaxInt, kKilobytes, kAccepted, kLogging, "Logs temporary files as large.", kSuperuser),
          Int("logical_decoding_work_mem", "65536", 64, kMaxInt, kKilobytes, kAccepted, kMemory, "Memory of logical decoding."),
          Int("maintenance_work_mem", "65536", 1024, kMaxInt, kKilobytes, kAccepted, kMemory, "Memory of maintenance commands."),
          Int("maintenance_io_concurrency", "10", 0, 1000, kNone, kAccepted, kMemory, "Concurrent disk requests of maintenance."),
          Int("max_connections", "100", 1, 262143, kNone, kYes, kConnection, "Connections at once.", kPostmaster),
          Int("max_function_args", "100", 100, 100, kNone, kYes, kPreset, "Arguments of a function.", kInternal),
          Int("max_identifier_length", "63", 63, 63, kNone, kYes, kPreset, "Length of a name.", kInternal),
          Int("max_index_keys", "32", 32, 32, kNone, kYes, kPreset, "Columns of an index.", kInternal),
          Int("max_locks_per_transaction", "64", 10, kMaxInt, kNone, kAccepted, kLocks, "Locks of a transaction.", kPostmaster),
          Int("max_prepared_transactions", "0", 0, 262143, kNone, kYes, kMemory, "Prepared transactions at once.", kPostmaster),
          Int("max_stack_depth", "2048", 100, kMaxInt, kKilobytes, kAccepted, kMemory, "Depth of the stack.", kSuperuser),
          Int("max_wal_senders", "10", 0, 262143, kNone, kAccepted, kWal, "Replication senders.", kPostmaster),
          Int("max_worker_processes", "8", 0, 262143, kNone, kAccepted, kMemory, "Background workers.", kPostmaster),
          Int("port", "5432", 1, 65535, kNone, kAccepted, kConnection, "Port of the server.", kPostmaster),
          Int("segment_size", "131072", 131072, 131072, kBlocks, kAccepted, kPreset, "Size of a file.", kInternal),
          Reported(Text("server_encoding", "UTF8", kYes, kPreset, "Character set of the database.", kInternal)),
          Reported(Text("server_version", "15.0", kYes, kPreset, "Version of PostgreSQL that this server stands for.", kInternal)),
          Int("server_version_num", "150000", 150000, 150000, kNone, kYes, kPreset, "The same as a number.", kInternal),
          Int("shared_buffers", "16384", 16, 1073741823, kBlocks, kAccepted, kMemory, "Shared memory.", kPostmaster),
          Text("shared_preload_libraries", "", kAccepted, kClient, "Libraries to load.", kPostmaster),
          Bool("ssl", "on", kYes, kConnection, "Takes TLS connections.", kSighup),
          Int("superuser_reserved_connections", "3", 0, 262143, kNone, kAccepted, kConnection, "Connections kept for superusers.", kPostmaster),
          Int("tcp_keepalives_count", "0", 0, kMaxInt, kNone, kAccepted, kConnection, "Lost keepalives that end a connection."),
          Int("tcp_keepalives_idle", "0", 0, kMaxInt, kSeconds, kAccepted, kConnection, "Idle time before keepalives."),
          Int("tcp_keepalives_interval", "0", 0, kMaxInt, kSeconds, kAccepted, kConnection, "Time between keepalives."),
          Int("tcp_user_timeout", "0", 0, kMaxInt, kMilliseconds, kAccepted, kConnection, "Time of unacknowledged data."),
          Int("temp_buffers", "1024", 100, 1073741823, kBlocks, kAccepted, kMemory, "Memory of temporary tables."),
          Int("temp_file_limit", "-1", -1, kMaxInt, kKilobytes, kAccepted, kMemory, "Size of temporary files.", kSuperuser),
          Enum("track_functions", "none", "none,pl,all", kAccepted, "Statistics", "Which calls are counted.", kSuperuser),
          Text("unix_socket_directories", "", kAccepted, kConnection, "Directories of sockets.", kPostmaster),
          Int("wal_block_size", "8192", 8192, 8192, kNone, kAccepted, kPreset, "Size of a log block.", kInternal),
          Bool("wal_compression", "off", kAccepted, kWal, "Compresses the log.", kSuperuser),
          Enum("wal_level", "replica", "minimal,replica,logical", kAccepted, kWal, "Detail of the log.", kPostmaster),
          Int("wal_segment_size", "16777216", 1048576, 1073741824, kBytes, kAccepted, kPreset, "Size of a log file.", kInternal),
          Int("wal_skip_threshold", "2048", 0, kMaxInt, kKilobytes, kAccepted, kWal, "Size from which a new file is synced."),
          Int("work_mem", "4096", 64, kMaxInt, kKilobytes, kAccepted, kMemory, "Memory of a sort or hash table."),
      });
}

}  // namespace

std::span<const SettingInfo> AllSettings() {
  static const std::vector<SettingInfo>* settings = [] {
    auto* out = new std::vector<SettingInfo>;
    AddClient(out);
    AddPlanner(out);
    AddServer(out);
    std::sort(out->begin(), out->end(), [](const auto& a, const auto& b) { return AsciiLower(a.name) < AsciiLower(b.name); });
    return out;
  }();
  return *settings;
}

}  // namespace insula::sql

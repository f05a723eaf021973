#include "kv/server/node_metrics.h"

#include <string>
#include <utility>

namespace insula::kv {
namespace {

class Registrar {
 public:
  Registrar(metrics::Registry* registry, std::function<Store*()> store) : registry_(registry), store_(std::move(store)) {}

  void Level(const std::string& name, const std::string& help, double (*read)(Store&)) { registry_->AddGauges(name, help, {}, Reader(read)); }
  void Count(const std::string& name, const std::string& help, double (*read)(Store&)) { registry_->AddCounters(name, help, {}, Reader(read)); }

 private:
  std::function<metrics::Registry::Series()> Reader(double (*read)(Store&)) const {
    return [store = store_, read] {
      Store* s = store();
      return s == nullptr ? metrics::Registry::Series() : metrics::Registry::Series{{{}, read(*s)}};
    };
  }
  metrics::Registry* registry_;
  std::function<Store*()> store_;
};

double Number(uint64_t n) { return static_cast<double>(n); }

uint64_t StoppedRanges(Store& store) {
  uint64_t n = store.damaged_count();
  for (const auto& [range, group] : store.multiraft().groups()) n += group->stopped() ? 1 : 0;
  return n;
}

void RegisterRanges(Registrar& r) {
  r.Level("insula_kv_ranges", "Replicas on this store.", [](Store& s) { return Number(s.multiraft().groups().size()); });
  r.Level("insula_kv_leases", "Leases held.", [](Store& s) { return Number(s.lease_count()); });
  r.Level("insula_kv_ranges_awake", "Replicas whose group is awake: it ticks.", [](Store& s) { return Number(s.multiraft().awake_groups()); });
  r.Level("insula_kv_ranges_stopped", "Replicas that take no part: damaged, or found to differ from the others.", [](Store& s) { return Number(StoppedRanges(s)); });
  r.Level("insula_kv_disk_full", "1 while writes wait for room on the disk.", [](Store& s) { return s.disk_status().ok() ? 0.0 : 1.0; });
}

void RegisterLog(Registrar& r) {
  r.Count("insula_kv_log_syncs_total", "Syncs of the log.", [](Store& s) { return Number(s.log().stats().syncs); });
  r.Count("insula_kv_log_batches_total", "Batches of records written to the log.", [](Store& s) { return Number(s.log().stats().batches); });
  r.Count("insula_kv_log_written_bytes_total", "Bytes written to the log.", [](Store& s) { return Number(s.log().stats().bytes); });
  r.Count("insula_kv_log_rewritten_bytes_total", "Bytes of live records copied out of old segments.", [](Store& s) { return Number(s.log().stats().rewritten_bytes); });
  r.Level("insula_kv_log_segments", "Segment files of the log.", [](Store& s) { return Number(s.log().stats().segments); });
  r.Level("insula_kv_log_bytes", "Size of the log's segments.", [](Store& s) { return Number(s.log().stats().total_bytes); });
  r.Level("insula_kv_log_cached_bytes", "Bytes of recent entries kept in memory.", [](Store& s) { return Number(s.log().stats().cached_bytes); });
  r.Count("insula_kv_log_entries_from_cache_total", "Entries of the log that were read from memory.", [](Store& s) { return Number(s.log().stats().entries_from_cache); });
  r.Count("insula_kv_log_entries_from_disk_total", "Entries of the log that were read from the disk.", [](Store& s) { return Number(s.log().stats().entries_from_disk); });
  r.Level("insula_kv_log_live_bytes", "Bytes of the log that are still needed.", [](Store& s) { return Number(s.log().stats().live_bytes); });
}

void RegisterState(Registrar& r) {
  r.Level("insula_kv_unflushed_bytes", "Bytes that the state engine has not flushed yet.", [](Store& s) { return Number(s.engine().unflushed_bytes()); });
  r.Level("insula_kv_state_table_bytes", "Size of the state engine's files.", [](Store& s) { return Number(s.engine().figures().table_bytes); });
  r.Level("insula_kv_state_level0_files", "Files of the state engine that no compaction has taken in yet.", [](Store& s) { return Number(s.engine().figures().level0_files); });
  r.Level("insula_kv_state_pending_compaction_bytes", "Bytes that compactions are behind.", [](Store& s) { return Number(s.engine().figures().pending_compaction_bytes); });
  r.Level("insula_kv_write_pressure", "How near the disks that this store's leases write to are to holding writes back: at 1 one of them does.", [](Store& s) { return s.WritePressure(); });
  r.Level("insula_kv_state_running_compactions", "Compactions under way.", [](Store& s) { return Number(s.engine().figures().running_compactions); });
  r.Level("insula_kv_state_stalled", "1 while the state engine holds back writes.", [](Store& s) { return s.engine().figures().stalled ? 1.0 : 0.0; });
  r.Count("insula_kv_state_stalls_total", "Times that the state engine slowed down or stopped writes.", [](Store& s) { return Number(s.engine().figures().stalls); });
  r.Count("insula_kv_state_flushed_bytes_total", "Bytes that flushes wrote.", [](Store& s) { return Number(s.engine().figures().flushed_bytes); });
  r.Count("insula_kv_state_compaction_read_bytes_total", "Bytes that compactions read.", [](Store& s) { return Number(s.engine().figures().compaction_read_bytes); });
  r.Count("insula_kv_state_compaction_written_bytes_total", "Bytes that compactions wrote.", [](Store& s) { return Number(s.engine().figures().compaction_written_bytes); });
}

}  // namespace

void RegisterNodeMetrics(metrics::Registry* registry, std::function<Store*()> store) {
  Registrar r(registry, std::move(store));
  RegisterRanges(r);
  RegisterLog(r);
  RegisterState(r);
}

}  // namespace insula::kv

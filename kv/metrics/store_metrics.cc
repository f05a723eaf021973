#include "kv/metrics/store_metrics.h"

#include <string>
#include <utility>
#include <vector>

namespace insula::kv {
namespace {

const std::vector<double>& PowersOfTwo() {
  static const auto* const bounds = new std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return *bounds;
}

constexpr const char* kMessageNames[kRaftMessageKinds] = {"append", "append_response", "heartbeat", "vote", "lease", "snapshot", "other"};
constexpr const char* kQueueNames[kQueueKinds] = {"gc", "split", "merge", "replicate", "consistency", "presplit"};
constexpr const char* kPlacementNames[kPlacementReasons] = {"none", "unfinished", "dead", "stopped", "too_few", "decommission", "too_many", "lease_unwanted", "diversity", "load"};
constexpr const char* kRestartNames[kRestartReasons] = {"write_too_old", "refresh_failed", "pushed", "lock_lost", "async_write_failed", "deadline", "uncertain"};

// Registers numbers of one store.
class Registrar {
 public:
  Registrar(std::shared_ptr<const StoreMetrics> store, metrics::Registry* registry) : store_(std::move(store)), registry_(registry) {}

  void Count(const std::string& name, const std::string& help, uint64_t StoreMetrics::*field) {
    registry_->AddCounter(name, help, [store = store_, field] { return static_cast<double>((*store).*field); });
  }
  void Level(const std::string& name, const std::string& help, int64_t StoreMetrics::*field) {
    registry_->AddGauge(name, help, [store = store_, field] { return static_cast<double>((*store).*field); });
  }
  void Spread(const std::string& name, const std::string& help, metrics::Histogram StoreMetrics::*field) {
    registry_->AddHistograms(name, help, {}, {{{}, std::shared_ptr<const metrics::Histogram>(store_, &((*store_).*field))}});
  }
  template <size_t N>
  void CountEach(const std::string& name, const std::string& help, const std::string& label, std::array<uint64_t, N> StoreMetrics::*field, const char* const (&names)[N]) {
    registry_->AddCounters(name, help, {label}, [store = store_, field, &names] {
      metrics::Registry::Series out;
      for (size_t i = 0; i < N; ++i) out.push_back({{names[i]}, static_cast<double>(((*store).*field)[i])});
      return out;
    });
  }

 private:
  std::shared_ptr<const StoreMetrics> store_;
  metrics::Registry* registry_;
};

void RegisterBatches(Registrar& r) {
  r.Count("insula_kv_latch_waits_total", "Batches that waited for latches.", &StoreMetrics::latch_waits);
  r.Level("insula_kv_latch_waiters", "Batches that wait for latches now.", &StoreMetrics::latch_waiters);
  r.Spread("insula_kv_latch_wait_seconds", "How long batches that waited for latches did so.", &StoreMetrics::latch_wait_seconds);
  r.Count("insula_kv_lock_waits_total", "Batches that waited for locks.", &StoreMetrics::lock_waits);
  r.Level("insula_kv_lock_waiters", "Batches that wait for locks now.", &StoreMetrics::lock_waiters);
  r.Spread("insula_kv_lock_wait_seconds", "How long batches that waited for locks did so, each time.", &StoreMetrics::lock_wait_seconds);
  r.Count("insula_kv_replica_batches_total", "Batches answered by replicas here.", &StoreMetrics::batches);
  r.Count("insula_kv_evaluations_total", "Evaluations of batches, with those that were thrown away.", &StoreMetrics::evaluations);
  r.Count("insula_kv_txn_pushes_total", "Pushes of transactions that were in the way.", &StoreMetrics::pushes);
  r.Count("insula_kv_txn_deadlocks_total", "Deadlocks broken.", &StoreMetrics::deadlocks);
  r.Count("insula_kv_txn_commits_total", "Transactions committed.", &StoreMetrics::commits);
  r.Count("insula_kv_txn_rollbacks_total", "Transactions rolled back by their coordinators.", &StoreMetrics::rollbacks);
  r.Count("insula_kv_txn_aborts_total", "Batches told that another transaction had aborted theirs.", &StoreMetrics::aborts);
  r.CountEach("insula_kv_txn_restarts_total", "Batches of transactions sent back to try again, by reason.", "reason", &StoreMetrics::restarts, kRestartNames);
}

void RegisterConsensus(Registrar& r) {
  r.Count("insula_kv_raft_proposals_total", "Commands proposed.", &StoreMetrics::proposals);
  r.Count("insula_kv_raft_proposals_refused_total", "Commands that for certain were not applied.", &StoreMetrics::proposals_refused);
  r.Spread("insula_kv_raft_round_seconds", "From a proposal until it was applied here.", &StoreMetrics::round_seconds);
  r.Count("insula_kv_raft_applied_entries_total", "Log entries applied.", &StoreMetrics::applied_entries);
  r.Count("insula_kv_raft_elections_total", "Elections tried.", &StoreMetrics::elections);
  r.Count("insula_kv_leases_acquired_total", "Leases that came to this store.", &StoreMetrics::leases_acquired);
  r.Count("insula_kv_leases_lost_total", "Leases that went from this store.", &StoreMetrics::leases_lost);
  r.CountEach("insula_kv_raft_messages_sent_total", "Messages to other replicas, by kind.", "kind", &StoreMetrics::messages_sent, kMessageNames);
  r.CountEach("insula_kv_raft_message_bytes_sent_total", "Bytes of messages to other replicas, by kind.", "kind", &StoreMetrics::message_bytes_sent, kMessageNames);
  r.Count("insula_kv_store_frames_sent_total", "Frames sent to other stores: heartbeats, and whatever messages were ready with them.", &StoreMetrics::stream_frames_sent);
  r.Count("insula_kv_store_frame_bytes_sent_total", "Bytes of these.", &StoreMetrics::stream_bytes_sent);
  r.Count("insula_kv_raft_messages_dropped_total", "Messages that another store did not take.", &StoreMetrics::messages_dropped);
  r.Count("insula_kv_snapshots_sent_total", "Snapshots of ranges sent.", &StoreMetrics::snapshots_sent);
  r.Count("insula_kv_snapshots_failed_total", "Snapshots of ranges that could not be sent.", &StoreMetrics::snapshots_failed);
  r.Count("insula_kv_snapshots_installed_total", "Snapshots of ranges installed.", &StoreMetrics::snapshots_installed);
  r.Count("insula_kv_snapshots_resumed_total", "Snapshots whose stream broke and that another one went on with.", &StoreMetrics::snapshots_resumed);
  r.Count("insula_kv_snapshot_bytes_sent_total", "Bytes of rows in snapshots sent.", &StoreMetrics::snapshot_bytes_sent);
  r.Count("insula_kv_snapshot_bytes_received_total", "Bytes of rows in snapshots received.", &StoreMetrics::snapshot_bytes_received);
  r.Count("insula_kv_liveness_heartbeats_sent_total", "Heartbeats sent to other stores.", &StoreMetrics::heartbeats_sent);
  r.Count("insula_kv_liveness_heartbeats_received_total", "Heartbeats received from other stores.", &StoreMetrics::heartbeats_received);
  r.Count("insula_kv_liveness_support_lost_total", "Times that support between this store and another ended.", &StoreMetrics::support_lost);
  r.Spread("insula_kv_log_sync_seconds", "Writes of the log with their sync.", &StoreMetrics::log_sync_seconds);
  r.Spread("insula_kv_log_batches_per_sync", "Batches of log records that went with one sync.", &StoreMetrics::log_batches_per_sync);
  r.Count("insula_kv_state_flushes_total", "Flushes of the state engine that were asked for.", &StoreMetrics::flushes);
  r.Spread("insula_kv_state_flush_seconds", "How long flushes of the state engine took.", &StoreMetrics::flush_seconds);
}

void RegisterQueues(const std::shared_ptr<const StoreMetrics>& store, metrics::Registry* registry) {
  auto series = [&store](auto read) {
    return [store, read] {
      metrics::Registry::Series out;
      for (int i = 0; i < kQueueKinds; ++i) out.push_back({{kQueueNames[i]}, static_cast<double>(read(store->queues[static_cast<size_t>(i)]))});
      return out;
    };
  };
  using Queue = StoreMetrics::Queue;
  registry->AddGauges("insula_kv_queue_pending", "Ranges that wait in a background queue, by queue.", {"queue"}, series([](const Queue& q) { return q.pending; }));
  registry->AddCounters("insula_kv_queue_processed_total", "Ranges that a background queue has worked on, by queue.", {"queue"}, series([](const Queue& q) { return q.processed; }));
  registry->AddCounters("insula_kv_queue_failed_total", "Ranges that a background queue could not finish, by queue.", {"queue"}, series([](const Queue& q) { return q.failed; }));
  std::vector<std::pair<std::vector<std::string>, std::shared_ptr<const metrics::Histogram>>> seconds;
  for (int i = 0; i < kQueueKinds; ++i) seconds.push_back({{kQueueNames[i]}, {store, &store->queues[static_cast<size_t>(i)].seconds}});
  registry->AddHistograms("insula_kv_queue_seconds", "Work of a background queue on one range, by queue.", {"queue"}, std::move(seconds));
}

}  // namespace

StoreMetrics::StoreMetrics() : log_batches_per_sync(PowersOfTwo()) {}

StoreMetrics* StoreMetrics::Nowhere() {
  static thread_local StoreMetrics nowhere;
  return &nowhere;
}

void RegisterStoreMetrics(std::shared_ptr<const StoreMetrics> store, metrics::Registry* registry) {
  Registrar r(store, registry);
  RegisterBatches(r);
  RegisterConsensus(r);
  RegisterQueues(store, registry);
  r.Count("insula_kv_gc_versions_removed_total", "Old versions that garbage collection removed.", &StoreMetrics::gc_versions_removed);
  r.Count("insula_kv_consistency_divergences_total", "Replicas that were found to differ from the others of their range.", &StoreMetrics::consistency_divergences);
  r.Count("insula_kv_consistency_wrong_stats_total", "Ranges whose statistics did not fit their rows.", &StoreMetrics::consistency_wrong_stats);
  r.Count("insula_kv_consistency_bytes_total", "Bytes read to compare replicas.", &StoreMetrics::consistency_bytes);
  r.CountEach("insula_kv_placement_actions_total", "Replicas and leases that were moved by this store, by reason.", "reason", &StoreMetrics::placement_actions, kPlacementNames);
  registry->AddGauges("insula_kv_clock_ahead_seconds", "Another store's clock against this one's when its last message came, less the way of that.", {"store"}, [store] {
    metrics::Registry::Series out;
    for (const auto& [id, ahead] : store->clock_ahead_seconds) out.push_back({{std::to_string(id)}, ahead});
    return out;
  });
}

}  // namespace insula::kv

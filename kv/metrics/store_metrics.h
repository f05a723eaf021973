// What one store counts of its own work, from the latches of a batch to the sync of its log entry.
//
//   rooms ──++──► StoreMetrics (plain numbers) ◄──read when rendered── metrics::Registry
//
//   StoreMetrics::Waiting waiting(&metrics->latch_waiters);   // until it goes
//   metrics->latch_waits += 1;
//
// Replicas outlive their store for as long as batches are on their way through them, so whoever serves batches shares the struct.
// Thread safety: loop thread only, which renders, too.
#ifndef INSULA_KV_METRICS_STORE_METRICS_H_
#define INSULA_KV_METRICS_STORE_METRICS_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

#include "base/metrics/metrics.h"
#include "base/runtime/time.h"

namespace insula::kv {

// Messages between replicas, by what they are for.
enum class RaftMessageKind { kAppend, kAppendResponse, kHeartbeat, kVote, kLease, kSnapshot, kOther };
inline constexpr int kRaftMessageKinds = static_cast<int>(RaftMessageKind::kOther) + 1;

// What goes through a store's ranges in the background.
enum class QueueKind { kGc, kSplit, kMerge, kReplicate, kConsistency, kPresplit };
inline constexpr int kQueueKinds = static_cast<int>(QueueKind::kPresplit) + 1;

// Why a replica or a lease was moved: kv/placement's reasons, in its order.
inline constexpr int kPlacementReasons = 10;

// Why a transaction was sent back to its client to try again.
enum class RestartReason { kWriteTooOld, kRefreshFailed, kPushed, kLockLost, kAsyncWriteFailed, kDeadline, kUncertain };
inline constexpr int kRestartReasons = static_cast<int>(RestartReason::kUncertain) + 1;

inline double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

struct StoreMetrics {
  // One that waits now.
  class Waiting {
   public:
    explicit Waiting(int64_t* waiters) : waiters_(waiters) { ++*waiters_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { --*waiters_; }

   private:
    int64_t* waiters_;
  };

  struct Queue {
    int64_t pending = 0;
    uint64_t processed = 0;
    uint64_t failed = 0;
    metrics::Histogram seconds{metrics::LatencyBuckets()};  // of one range
  };

  StoreMetrics();
  // For whoever is not told where to count (tests): one per thread.
  static StoreMetrics* Nowhere();

  // -- kv/concurrency --
  uint64_t latch_waits = 0;
  int64_t latch_waiters = 0;
  metrics::Histogram latch_wait_seconds{metrics::LatencyBuckets()};
  uint64_t lock_waits = 0;
  int64_t lock_waiters = 0;
  metrics::Histogram lock_wait_seconds{metrics::LatencyBuckets()};

  // -- kv/replica --
  uint64_t batches = 0;      // answered
  uint64_t evaluations = 0;  // of batches, those that were thrown away too
  uint64_t pushes = 0;       // of transactions in the way
  uint64_t deadlocks = 0;    // broken
  uint64_t commits = 0;      // of transactions, in ranges with their record
  uint64_t rollbacks = 0;
  uint64_t aborts = 0;       // batches told that their transaction was aborted by another
  std::array<uint64_t, kRestartReasons> restarts{};

  // -- kv/multiraft --
  uint64_t proposals = 0;
  uint64_t proposals_refused = 0;                                 // for certain without effect
  metrics::Histogram round_seconds{metrics::LatencyBuckets()};    // from a proposal until it is applied here
  uint64_t applied_entries = 0;
  uint64_t elections = 0;  // tried
  uint64_t leases_acquired = 0;
  uint64_t leases_lost = 0;
  std::array<uint64_t, kRaftMessageKinds> messages_sent{};
  std::array<uint64_t, kRaftMessageKinds> message_bytes_sent{};
  uint64_t messages_dropped = 0;  // another store did not take them
  uint64_t stream_frames_sent = 0;  // to other stores: what was there to be said at that moment
  uint64_t stream_bytes_sent = 0;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_failed = 0;
  uint64_t snapshots_installed = 0;
  uint64_t snapshots_resumed = 0;
  uint64_t snapshot_bytes_sent = 0;
  uint64_t snapshot_bytes_received = 0;
  uint64_t heartbeats_sent = 0;  // of this store to others
  uint64_t heartbeats_received = 0;
  uint64_t support_lost = 0;     // support of another store for this one, or of this one for it, ended
  std::map<uint64_t, double> clock_ahead_seconds;  // by store: its clock against ours when its last message came; less the way of that

  // -- The log engine --
  metrics::Histogram log_sync_seconds{metrics::LatencyBuckets()};
  metrics::Histogram log_batches_per_sync;
  // -- The state engine --
  uint64_t flushes = 0;
  metrics::Histogram flush_seconds{metrics::LatencyBuckets()};

  // -- kv/store --
  uint64_t gc_versions_removed = 0;
  uint64_t consistency_divergences = 0;  // replicas that were found to differ from the others
  uint64_t consistency_wrong_stats = 0;  // ranges whose statistics did not fit their rows
  uint64_t consistency_bytes = 0;        // read for checksums
  std::array<uint64_t, kPlacementReasons> placement_actions{};  // changes of replicas and transfers of leases that were done
  Queue& queue(QueueKind kind) { return queues[static_cast<size_t>(kind)]; }
  std::array<Queue, kQueueKinds> queues;
};

// All of the above, under names that begin with insula_kv_. The registry keeps `store`.
void RegisterStoreMetrics(std::shared_ptr<const StoreMetrics> store, metrics::Registry* registry);

}  // namespace insula::kv

#endif  // INSULA_KV_METRICS_STORE_METRICS_H_

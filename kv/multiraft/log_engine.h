// The log of all ranges of one store: append-only segment files, one writer, one sync for everything that is ready (group commit).
//
//   range 1 ──Append──┐
//   range 2 ──Append──┼─► queue ─► writer: one frame, one write, one sync ─► index in memory ─► done(…) of each, in order
//   …                 ┘
//
//   segment 5            segment 6             segment 7 (open)
//   |e r1:1|e r2:7|dead| |e r1:2|dead|dead| |  |e r1:3|hs r1|e r2:8|
//       └─ live records of the oldest segment are rewritten at the end, then the segment goes
//
// It holds, per range: entries, hard state, how far it was truncated, the replica's id, a tombstone; and of the store: redo records
// and small named values. What it holds is what replaying its records in order gives:
//   W1  Batches become durable in the order appended, each whole or not at all.
//   W2  Segments go oldest first, and only without live records, so a replay never misses what undid an older record.
//   W3  Reads show what is durable.
//
// Damage: a torn end (the last write before a crash) is cut and reported. A payload damaged elsewhere damages its range: Damage()
// says so and reads of it fail with kDataLoss. A damaged header, store record or segment fails Open with kDataLoss: it cannot be known
// whose it was. A read that fails is no damage: it is tried again at once, and then is kUnavailable (Entries) or put off (rewriting).
// One case cannot be told from a torn write: rot in the very last frame that holds a single record.
// Full disk: appends wait and are tried again; disk_full() says so; nothing is lost. Other errors: a new segment is tried once, then
// the engine has failed for good, and every done gets the error.
//
// Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_LOG_ENGINE_H_
#define INSULA_KV_MULTIRAFT_LOG_ENGINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/files.h"
#include "base/runtime/runtime.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/log_record.h"
#include "kv/raft/message.h"

namespace insula::kv {

struct LogOptions {
  std::string path;                       // a folder of its own
  uint64_t store_id = 0;                  // segments of another store are refused
  uint64_t segment_bytes = 16 << 20;      // a segment is closed when it reaches this
  uint64_t max_frame_bytes = 8 << 20;     // of one write, about
  uint64_t garbage_bytes = 64 << 20;      // dead bytes that may lie about before live ones are rewritten
  uint64_t cache_bytes = 32 << 20;        // payloads of recent entries kept in memory
  Duration full_retry = std::chrono::milliseconds(500);
  StoreMetrics* metrics = StoreMetrics::Nowhere();  // outlives the engine
};

// Changes that become durable together.
class LogBatch {
 public:
  void AppendEntries(RangeId range, const std::vector<raft::Entry>& entries);
  void SetHardState(RangeId range, const raft::HardState& state);
  void Truncate(RangeId range, uint64_t index, uint64_t term);
  void Reset(RangeId range, uint64_t index, uint64_t term);
  void SetReplica(RangeId range, ReplicaId replica);
  void Tombstone(RangeId range, ReplicaId next_replica);
  void Redo(uint64_t id, std::string_view payload);  // ids from LogEngine::NextRedoId
  void RedoDone(uint64_t id);
  void SetMeta(std::string_view key, std::string_view value);

  bool empty() const { return records_.empty(); }
  size_t byte_size() const { return bytes_.size(); }

 private:
  friend class LogEngine;
  struct Record {
    RecordHeader header;
    size_t offset;          // in bytes_
    raft::Payload payload;  // of entries, for the cache
  };
  void Add(RecordHeader header, std::string_view payload, raft::Payload shared = {});
  std::string bytes_;
  std::vector<Record> records_;
};

struct LogRecovery {
  uint64_t segments = 0;
  uint64_t torn_bytes = 0;            // cut off the end
  std::vector<std::string> damage;    // one line per damaged range
};

struct LogStats {
  uint64_t syncs = 0;
  uint64_t batches = 0;
  uint64_t bytes = 0;
  uint64_t rewritten_bytes = 0;
  uint64_t segments = 0;
  uint64_t total_bytes = 0;
  uint64_t live_bytes = 0;
  uint64_t cached_bytes = 0;
  uint64_t entries_from_cache = 0;  // read
  uint64_t entries_from_disk = 0;
};

class LogEngine {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // Opens the log in options.path, which must exist; an empty folder is an empty log.
  static absl::StatusOr<std::unique_ptr<LogEngine>> Open(const Runtime& runtime, const LogOptions& options);
  ~LogEngine();

  // -- Writing --
  // Queues `batch`; `done` (may be null) is called once it is durable, or has failed for good.
  void Append(LogBatch batch, Done done);
  // Queues it without hurry: it goes along with the next write that somebody waits for.
  void AppendLazily(LogBatch batch);
  // `done` is called once everything that Append was given so far is durable, or has failed for good: soon, if it is. Makes no write.
  void AfterAppended(Done done);
  // Until durable. If the context ends first, the batch may or may not become durable.
  Task<absl::Status> AppendAndWait(Context ctx, LogBatch batch);
  bool disk_full() const { return full_; }
  // Not OK: nothing can be written any more.
  const absl::Status& failure() const { return failure_; }
  // Called once, when that happens.
  void OnFailure(absl::AnyInvocable<void(absl::Status)> fn) { on_failure_ = std::move(fn); }
  MonoTime last_sync() const { return last_sync_; }

  // -- Reading: what is durable --
  std::vector<RangeId> Ranges() const;  // with a replica, in order
  bool Has(RangeId range) const;
  ReplicaId Replica(RangeId range) const;              // 0: none
  ReplicaId NextReplica(RangeId range) const;          // tombstone: ids below it are gone; 0: none
  raft::HardState HardState(RangeId range) const;
  uint64_t TruncatedIndex(RangeId range) const;
  uint64_t TruncatedTerm(RangeId range) const;
  uint64_t LastIndex(RangeId range) const;
  // kOutOfRange: truncated; kNotFound: past the end (kv/raft/storage.h).
  absl::StatusOr<uint64_t> Term(RangeId range, uint64_t index) const;
  // [lo, hi), as many as fit `max_bytes` but at least one. kDataLoss: damaged; kUnavailable: the disk does not give them now.
  absl::StatusOr<std::vector<raft::Entry>> Entries(RangeId range, uint64_t lo, uint64_t hi, uint64_t max_bytes);
  uint64_t EntryBytes(RangeId range) const;  // live bytes of its entries
  absl::Status Damage(RangeId range) const;

  const std::map<uint64_t, std::string>& open_redos() const { return redos_; }
  uint64_t NextRedoId() { return next_redo_++; }
  std::optional<std::string> Meta(const std::string& key) const;

  const LogRecovery& recovery() const { return recovery_; }
  LogStats stats() const;

 private:
  struct Location {
    uint64_t segment = 0;  // 0: none
    uint32_t offset = 0;
    uint32_t length = 0;
  };
  struct EntryRef {
    uint64_t term = 0;
    Location at;
    raft::EntryType type = raft::EntryType::kNormal;
    bool cached = false;
    raft::Payload payload;  // if cached
  };
  struct RangeLog {
    ReplicaId replica = 0;
    ReplicaId next_replica = 0;
    raft::HardState hard_state;
    uint64_t truncated_index = 0, truncated_term = 0;
    uint64_t first = 1;             // index of entries[0]: truncated_index + 1 (while replaying, maybe more)
    std::vector<EntryRef> entries;
    uint64_t entry_bytes = 0;
    Location replica_at, tombstone_at, hard_state_at, truncated_at;
    absl::Status damage;
    uint64_t last_index() const { return entries.empty() ? truncated_index : first + entries.size() - 1; }
    EntryRef& at(uint64_t index) { return entries[index - first]; }
    const EntryRef& at(uint64_t index) const { return entries[index - first]; }
  };
  struct Segment {
    uint64_t number = 0;
    uint64_t size = 0;  // that counts
    uint64_t live = 0;
  };
  struct Pending {
    LogBatch batch;
    Done done;
    bool urgent = false;  // Append's
  };
  struct After {
    uint64_t appends = 0;  // that have to be durable
    Done done;
  };
  struct CacheSlot {
    RangeId range;
    uint64_t index, term;
    uint32_t bytes;
  };

  LogEngine(const Runtime& runtime, LogOptions options);

  // log_recovery.cc
  absl::Status Recover();
  struct LoadedSegment {
    SegmentHeader header;
    std::string bytes;
    bool torn_header = false;
  };
  absl::Status LoadSegment(const std::string& name, bool last, LoadedSegment* out);
  absl::Status ReplaySegment(const LoadedSegment& segment, std::optional<uint64_t> counts, uint64_t* valid);
  absl::Status ReplayFrame(const LoadedSegment& segment, size_t at, size_t end, bool may_be_torn, bool* torn);
  void CheckRanges();

  // log_index.cc
  RangeLog& GetRange(RangeId range) { return ranges_[range]; }
  const RangeLog* FindRange(RangeId range) const;
  void ApplyRecord(const RecordHeader& header, std::string_view payload, const Location& at, raft::Payload shared);
  void ApplyEntry(RangeLog& log, const RecordHeader& header, const Location& at, raft::Payload shared);
  void ApplyTruncate(RangeLog& log, const RecordHeader& header, const Location& at);
  void DropEntriesFrom(RangeLog& log, uint64_t index);
  void Live(Location* slot, const Location& at);  // `slot` now lies at `at`
  void Dead(const Location& at);
  void Uncache(EntryRef& ref);
  void TrimCache();

  // log_engine.cc: the writer
  Task<void> Writer();
  Task<absl::Status> WriteFrame(std::string body);
  absl::Status OpenSegment();
  std::string SegmentPath(uint64_t number) const;
  // log_rewrite.cc
  bool NeedsRewrite() const;
  void ComposeRewrite(LogBatch* batch);
  absl::Status RewriteRange(RangeId range, RangeLog& log, uint64_t segment, LogBatch* batch);
  absl::StatusOr<std::string> ReadBytes(uint64_t segment, uint64_t offset, uint64_t length);
  absl::StatusOr<std::string> ReadRecord(const Location& at, RecordHeader* header);
  absl::Status ReadRun(RangeLog& log, RangeId range, uint64_t lo, uint64_t hi, std::vector<raft::Entry>* out);
  void RemoveDeadSegments();

  struct DamagedRecord {
    RecordHeader header;
    Location at;
  };

  Runtime runtime_;
  LogOptions options_;
  std::map<RangeId, RangeLog> ranges_;
  std::map<uint64_t, std::string> redos_;
  std::map<uint64_t, Location> redo_at_;
  std::map<std::string, std::string> metas_;
  std::map<std::string, Location> meta_at_;
  std::deque<Segment> segments_;  // the last one is open if file_ is
  std::unique_ptr<AppendFile> file_;
  uint64_t next_segment_ = 1;
  uint64_t next_frame_ = 1;
  uint64_t next_redo_ = 1;
  std::vector<RangeId> rewrite_ranges_;  // still to be looked at in the oldest segment, from the back
  uint64_t rewrite_segment_ = 0;

  std::deque<CacheSlot> cache_;
  uint64_t cached_bytes_ = 0;

  std::deque<Pending> queue_;
  bool urgent_ = false;
  uint64_t appends_ = 0;          // calls of Append
  uint64_t durable_appends_ = 0;  // of them
  std::deque<After> after_;
  Condition work_;
  bool full_ = false;
  absl::Status failure_;
  absl::AnyInvocable<void(absl::Status)> on_failure_;
  MonoTime last_sync_{};
  LogRecovery recovery_;
  std::vector<DamagedRecord> damaged_;  // while recovering
  LogStats stats_;
  TaskGroup tasks_;  // last: its tasks use all of the above
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_LOG_ENGINE_H_

// The files of a store that no node has open, read as a node would read them, and left as they are.
//
//   auto view = StoreView::Open(runtime, IsFileLocked, dir);
//   for (RangeId id : (*view)->Ranges()) Use((*view)->Range(id));
//   RETURN_IF_ERROR((*view)->StillUnused());       // what was seen is of one moment
//
// Invariants:
//   V1  Nothing of the store is written, made, removed, repaired or locked, damaged or not: log and state engine are opened on file systems
//       that refuse it (read_only_files.h, storage::RocksView), and what a start would do (cut a torn end, finish a redo) is only told.
//   V2  A node may start meanwhile, unhindered. StillUnused() says so afterwards.
//   V3  Where one engine cannot be read, the other one still is.
//
// What is in the state engine is what was flushed: after a crash a node applies more of the log to it, this does not.
// Calls read the disk where they are, for as long as it takes: not for a loop that serves.
#ifndef INSULA_KV_STORE_INSPECT_STORE_VIEW_H_
#define INSULA_KV_STORE_INSPECT_STORE_VIEW_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "base/runtime/runtime.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/range_state.h"
#include "kv/multiraft/redo.h"
#include "kv/storage/rocks_engine.h"
#include "kv/store/inspect/read_only_files.h"
#include "kv/store/store_files.h"

namespace insula::kv {

// Whether somebody has the lock on a file (base/real/file_lock.h).
using LockProbe = std::function<absl::StatusOr<bool>(const std::string& path)>;

// What both engines hold of one range.
struct RangeView {
  RangeId id = 0;
  // Log; replica 0: it holds none (next_replica may tell that there was one).
  ReplicaId replica = 0;
  ReplicaId next_replica = 0;
  raft::HardState hard_state;
  uint64_t truncated_index = 0, truncated_term = 0;
  uint64_t last_index = 0;
  uint64_t entry_bytes = 0;
  absl::Status log_damage;
  // State engine.
  std::optional<LoadedRange> loaded;
  absl::Status state_damage;
};

// Rows of a range's own that the state engine holds besides.
struct RangeRows {
  Timestamp gc_threshold;          // empty: nothing was collected
  uint64_t published = 0;          // generation whose address is known to be written
  std::string frozen_by;           // id of the merge that is to end it; empty: none
  uint64_t removed = 0;            // replicas that may still lie on their stores
  uint64_t aborted = 0;            // transactions that are to hear that they were aborted
  uint64_t records = 0;            // transaction records anchored in it
  uint64_t outcomes = 0;
};

// A step of a replica's life that was under way, for the next start to finish.
struct OpenRedo {
  uint64_t id = 0;
  absl::Status damage;  // not OK: `redo` is empty
  Redo redo;
};
std::string Describe(const Redo& redo);

class StoreView {
 public:
  // kNotFound, kFailedPrecondition (not a store, or of a newer format), kUnavailable (in use), kDataLoss (it does not say whose it is); what to
  // do about it is in the message. Damage further in shows in log_status() and state_status().
  static absl::StatusOr<std::unique_ptr<StoreView>> Open(const Runtime& runtime, LockProbe is_locked, std::string dir, const storage::RocksOptions& engine = {});

  const std::string& dir() const { return dir_; }
  int format() const { return format_; }
  const StoreIdent& ident() const { return ident_; }
  FileSystem& files() { return files_; }

  const absl::Status& log_status() const { return log_status_; }
  LogEngine& log() { return *log_; }  // only if log_status() is OK
  // By path: where a start cuts what does not count.
  const std::map<std::string, uint64_t>& cuts() const { return files_.cuts(); }
  std::vector<OpenRedo> Redos() const;

  const absl::Status& state_status() const { return state_status_; }
  storage::RocksView& state() { return *state_; }  // only if state_status() is OK

  // All that one of the engines knows to have a replica here, by id.
  absl::StatusOr<std::vector<RangeId>> Ranges();
  RangeView Range(RangeId id);
  absl::StatusOr<RangeRows> RowsOf(const v1::RangeDescriptor& range);

  // kUnavailable: a node has opened the store since.
  absl::Status StillUnused();

 private:
  StoreView(const Runtime& runtime, LockProbe is_locked, std::string dir);
  absl::Status CheckFolder();
  absl::Status ReadIdent();
  std::vector<std::string> Names();

  LockProbe is_locked_;
  const std::string dir_;
  ReadOnlyFiles files_;
  Runtime runtime_;
  std::vector<std::string> names_;  // of its files, when it was opened
  int format_ = 0;
  StoreIdent ident_;
  absl::Status log_status_, state_status_;
  std::unique_ptr<LogEngine> log_;
  std::unique_ptr<storage::RocksView> state_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_INSPECT_STORE_VIEW_H_

// Forgets the log behind the state engine, and bounds what a restart must apply again.
//
//   applied index of each range, noted ─► Engine::Flush ─► truncation marks ─► the log engine's segments can go
//
// Invariant: a truncation mark never passes what a finished flush covers. Redo records are closed behind a flush, too.
// A flush is due when the log grew by `flush_log_bytes` since the last, the memtables are large, or something is left to forget and
// `idle_interval` has passed. Ranges with entries since the last flush keep a tail for followers that are a little behind; a leader
// keeps what live followers still need, up to `keep_bytes`. While there is nothing to forget, nothing is looked at.
#ifndef INSULA_KV_MULTIRAFT_TRUNCATION_H_
#define INSULA_KV_MULTIRAFT_TRUNCATION_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/time.h"
#include "kv/keys/keys.h"

namespace insula::kv {

class MultiRaft;

struct TruncationOptions {
  uint64_t flush_log_bytes = 64 << 20;
  uint64_t flush_engine_bytes = 48 << 20;
  Duration idle_interval = std::chrono::seconds(60);
  Duration check_interval = std::chrono::milliseconds(1000);
  uint64_t tail_entries = 256;
  uint64_t keep_bytes = 16 << 20;
};

class Truncation {
 public:
  Truncation(MultiRaft* host, TruncationOptions options) : host_(host), options_(options) {}

  // An entry of `range` was applied.
  void Applied(RangeId range) {
    active_.insert(range);
    work_.NotifyAll();
  }
  // To be closed once everything written so far is flushed.
  void CloseRedo(uint64_t redo) {
    redos_.push_back(redo);
    work_.NotifyAll();
  }
  // Flush, then truncate. Several callers share.
  Task<absl::Status> Run(const Context& ctx);
  // Runs for as long as `ctx`.
  Task<void> Loop(const Context& ctx);

 private:
  bool Due(MonoTime now) const;
  bool AtRest() const { return active_.empty() && remaining_.empty() && redos_.empty(); }

  MultiRaft* host_;
  TruncationOptions options_;
  std::set<RangeId> active_;     // applied entries since the last flush began
  std::set<RangeId> remaining_;  // have log left behind an earlier flush
  std::vector<uint64_t> redos_;
  uint64_t log_bytes_at_flush_ = 0;
  MonoTime last_flush_{};
  Condition work_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_TRUNCATION_H_

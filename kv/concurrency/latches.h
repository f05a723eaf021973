// Latches: short holds on keys of one range while one request is evaluated and applied, so that conflicting requests take turns.
//
//   arrival  spans                     waits for
//   1        write a, write c          -
//   2        read [a, d) at ts 9       1
//   3        read b at ts 9            -        (nobody writes b)
//   4        write a at ts 12          1        (a write above a read's timestamp does not disturb it: not 2)
//
// Two spans conflict if they overlap, at least one writes, and - when one reads - the read's timestamp is not below the write's
// (timestamp 0: conflicts with all). Requests are served by arrival: one that waits holds up later conflicting ones.
//
// Invariants:
//   A1  A request waits only for requests that arrived earlier, and takes its place in all its spans at once. So there is no
//       deadlock, whatever the order of spans.
//   A2  A request that leaves (done, or cancelled while it waits) is counted down by everyone who waits for it, exactly once.
// Loop thread only.
#ifndef INSULA_KV_CONCURRENCY_LATCHES_H_
#define INSULA_KV_CONCURRENCY_LATCHES_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"

namespace insula::kv {

// [key, end_key), or the single key when end_key is empty. The bytes belong to the request and outlive the latch.
struct LatchSpan {
  std::string_view key = {};
  std::string_view end_key = {};
  bool write = false;
  Timestamp ts = {};  // of the read or write; 0: conflicts at every timestamp
};

class LatchManager {
 private:
  struct Latch;

 public:
  LatchManager() = default;
  LatchManager(const LatchManager&) = delete;
  LatchManager& operator=(const LatchManager&) = delete;
  ~LatchManager();

  // Holds a request's latches (or its place in the queues) until it goes.
  class Guard {
   public:
    Guard() = default;
    Guard(Guard&& other) noexcept : manager_(other.manager_), latch_(other.latch_) { other.latch_ = nullptr; }
    Guard& operator=(Guard&& other) noexcept {
      if (this != &other) {
        Release();
        manager_ = other.manager_;
        latch_ = other.latch_;
        other.latch_ = nullptr;
      }
      return *this;
    }
    ~Guard() { Release(); }
    void Release() {
      if (latch_ != nullptr) manager_->Remove(latch_);
      latch_ = nullptr;
    }
    // True if a guard is held and nobody is waited for any more.
    bool ready() const { return latch_ != nullptr && latch_->blockers == 0; }

   private:
    friend class LatchManager;
    Guard(LatchManager* manager, Latch* latch) : manager_(manager), latch_(latch) {}
    LatchManager* manager_ = nullptr;
    Latch* latch_ = nullptr;
  };

  // Takes a place in all of `spans`. If the guard is not ready(), Wait for it before going on.
  Guard Insert(std::vector<LatchSpan> spans);
  // Until the guard is ready; or why `ctx` ended (the guard is then of no use).
  Task<absl::Status> Wait(const Context& ctx, const Guard& guard);

  size_t size() const { return latches_.size(); }
  // Panics if the counts do not match the conflicts. For tests.
  void VerifyInvariants() const;

 private:
  friend class Guard;
  struct Latch {
    uint64_t sequence = 0;
    std::vector<LatchSpan> spans;
    std::vector<uint64_t> dependents;  // sequences of later latches that wait for this one
    int blockers = 0;                  // earlier latches that this one waits for
    Condition ready;
  };
  struct PointEntry {
    Latch* latch;
    bool write;
    Timestamp ts;
  };

  static bool Conflicts(bool write_a, Timestamp ts_a, bool write_b, Timestamp ts_b);
  // Calls `fn(latch)` for every present latch that conflicts with `span`, possibly more than once.
  template <typename F>
  void ForEachConflict(const LatchSpan& span, F fn) const;
  void Remove(Latch* latch);

  uint64_t next_sequence_ = 0;
  std::map<uint64_t, std::unique_ptr<Latch>> latches_;
  absl::btree_multimap<std::string_view, PointEntry> points_;
  std::vector<std::pair<LatchSpan, Latch*>> ranges_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CONCURRENCY_LATCHES_H_

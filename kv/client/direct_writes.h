// Keys that nobody but one transaction sees until it commits: which they are, and what was written there at once.
//
//   Declare("t7", prepare) ─► large InsertMany of keys "t7…" ─► prepare, once ─► InsertRows, outside the transaction: no intents
//
// What is written directly cannot be taken back by the transaction. So it is only done where that is not asked for, or somebody else
// takes care of it: `prepare` makes sure that the keys are cleared if the transaction does not commit.
//
// Invariants:
//   D1  A key that may be locked or buffered by the transaction itself is not written directly: it would wait for itself, or the
//       order of its writes would be lost.
//   D2  A rollback to a savepoint after a declaration and before a direct write under it is refused; one to before the declaration
//       forgets it.
//   D3  A preparation that a rollback has taken back is made again before the next direct write.
// Thread safety: as its transaction.
#ifndef INSULA_KV_CLIENT_DIRECT_WRITES_H_
#define INSULA_KV_CLIENT_DIRECT_WRITES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"
#include "kv/api/txn.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Fewer rows in one call are buffered like all others: a direct write costs a round of consensus of its own.
inline constexpr size_t kDirectRows = 100;
inline constexpr size_t kDirectBytes = 32 << 10;

class DirectWrites {
 public:
  using Prepare = std::function<Task<absl::Status>(const Context&)>;
  struct Place {
    std::string prefix;
    Prepare prepare;
    uint32_t declared = 0;    // sequence numbers
    uint32_t prepared = 0;    // 0: not yet
    uint32_t last_write = 0;  // 0: none
    Timestamp newest;         // of what was written
    bool open = true;
  };

  void Declare(std::string prefix, uint32_t sequence, Prepare prepare);
  // From now on nothing more is written directly.
  void Close();
  // The place that holds all keys from `first` to `last`, if it is open.
  std::shared_ptr<Place> Find(std::string_view first, std::string_view last) const;
  // The newest direct write that [start, end) may hold; empty: none.
  Timestamp NewestIn(std::string_view start, std::string_view end) const;
  // False: there are direct writes after `savepoint` that would have to be undone.
  bool RollbackTo(uint32_t savepoint);

 private:
  std::vector<std::shared_ptr<Place>> places_;
};

// Rows in requests of about `max_bytes` each, by rising key. `rows` have no two equal keys.
std::vector<v1::BatchRequest> DirectBatches(const std::vector<KeyValue>& rows, size_t max_bytes);

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_DIRECT_WRITES_H_

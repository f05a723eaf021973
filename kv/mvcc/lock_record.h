// The entry of a locked key in the `lock` column family: who holds it durably, and what it wrote provisionally.
//
//   key | holders                                             | data
//   ----+-----------------------------------------------------+--------------------------------------------
//   a   | txn 7: intent at ts 30, sequence 4; before: (2, x)  | a@30 = y (provisional), a@20 = w (committed)
//   b   | txn 8: shared; txn 9: shared                        | b@10
//
// Invariants:
//   R1  Either all holders are shared, or there is exactly one.
//   R2  The holder of an intent is exclusive, and its provisional version lies in `data` at `intent->ts`, above all committed ones.
//   R3  `intent->history` holds the same epoch's earlier writes, by rising sequence, all below `intent->sequence`.
#ifndef INSULA_KV_MVCC_LOCK_RECORD_H_
#define INSULA_KV_MVCC_LOCK_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "kv/api/txn.h"
#include "proto/kv/api.pb.h"

namespace insula::kv::mvcc {

struct HistoryEntry {
  uint32_t sequence = 0;
  std::optional<std::string> value;  // nullopt: a deletion
};

struct Intent {
  Timestamp ts;           // of the provisional version
  uint32_t sequence = 0;  // of the write that made it
  std::vector<HistoryEntry> history;
};

struct LockHolder {
  v1::TxnMeta txn;
  LockStrength strength = LockStrength::kExclusive;
  std::optional<Intent> intent;
};

struct LockRecord {
  std::vector<LockHolder> holders;

  const LockHolder* Find(std::string_view txn_id) const;
  LockHolder* Find(std::string_view txn_id);
  // The holder with the provisional version, or null.
  const LockHolder* intent_holder() const;
};

std::string EncodeLockRecord(const LockRecord& record);
absl::Status DecodeLockRecord(std::string_view bytes, LockRecord* record);
// The id of the only holder, without decoding the rest; empty if there are several.
std::string_view PeekOnlyHolder(std::string_view bytes);

}  // namespace insula::kv::mvcc

#endif  // INSULA_KV_MVCC_LOCK_RECORD_H_

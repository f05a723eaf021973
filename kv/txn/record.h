// Rows that say what became of a transaction, at its anchor key in the `range` column family (kv/keys).
//
//   record   anchor ‖ 't' ‖ id   version byte ‖ Transaction     from the first heartbeat, EndTxn over several ranges, or push
//   outcome  anchor ‖ 'o' ‖ id   version byte ‖ status byte ‖ commit timestamp ‖ written at (8 bytes each, big-endian)
//
//   (none) ──heartbeat──► PENDING ──► COMMITTED ──► (removed when every intent is resolved)
//      │                     │  └──► STAGING ──► COMMITTED or, by recovery or its coordinator, ABORTED
//      └──────push───────────┴────► ABORTED (a marker in memory if there was no record)
//
// An outcome COMMITTED is written with the commit itself; an outcome ABORTED by QueryOutcome, and no commit passes it. Outcomes are
// kept ten minutes.
#ifndef INSULA_KV_TXN_RECORD_H_
#define INSULA_KV_TXN_RECORD_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "base/runtime/time.h"
#include "kv/storage/read_writer.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// How long a transaction may go without a heartbeat before others may end it.
inline constexpr Duration kTxnExpiry = 5s;
inline constexpr Duration kTxnHeartbeatInterval = 1s;
inline constexpr Duration kOutcomeRetention = 10min;

absl::StatusOr<std::optional<v1::Transaction>> LoadRecord(storage::Reader& reader, std::string_view anchor, std::string_view txn_id);
void StoreRecord(storage::ReadWriter& rw, std::string_view anchor, const v1::Transaction& record);
void RemoveRecord(storage::ReadWriter& rw, std::string_view anchor, std::string_view txn_id);
absl::StatusOr<v1::Transaction> DecodeRecord(std::string_view bytes);

struct TxnOutcome {
  v1::TxnStatus status = v1::ABORTED;  // COMMITTED or ABORTED
  Timestamp commit_ts;
  Timestamp written_at;
};
absl::StatusOr<std::optional<TxnOutcome>> LoadOutcome(storage::Reader& reader, std::string_view anchor, std::string_view txn_id);
void StoreOutcome(storage::ReadWriter& rw, std::string_view anchor, std::string_view txn_id, const TxnOutcome& outcome);
absl::StatusOr<TxnOutcome> DecodeOutcome(std::string_view bytes);

// When the transaction last gave a sign of life, as far as `meta` (what its intents and locks carry) and its record (null: none) tell.
Timestamp LastActive(const v1::TxnMeta& meta, const v1::Transaction* record);
Timestamp Expiry(const v1::TxnMeta& meta, const v1::Transaction* record);
inline bool IsExpired(const v1::TxnMeta& meta, const v1::Transaction* record, Timestamp now) { return Expiry(meta, record) < now; }
inline bool IsFinished(v1::TxnStatus status) { return status == v1::COMMITTED || status == v1::ABORTED; }

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_RECORD_H_

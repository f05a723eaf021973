#include "kv/txn/record.h"

#include <algorithm>

#include "base/encoding/ordered.h"
#include "base/strings.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

constexpr char kRecordVersion = 1;
constexpr char kOutcomeVersion = 1;

int64_t Micros(Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d).count(); }

}  // namespace

absl::StatusOr<v1::Transaction> DecodeRecord(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != kRecordVersion) {
    return absl::UnimplementedError("a transaction record has a format that this version does not know");
  }
  v1::Transaction record;
  if (!record.ParseFromArray(bytes.data() + 1, static_cast<int>(bytes.size() - 1))) {
    return absl::DataLossError("a transaction record is damaged");
  }
  return record;
}

absl::StatusOr<std::optional<v1::Transaction>> LoadRecord(storage::Reader& reader, std::string_view anchor, std::string_view txn_id) {
  std::string bytes;
  auto found = reader.Get(storage::ColumnFamily::kRange, keys::AnchorKey(anchor, keys::AnchorField::kTransaction, txn_id), &bytes);
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<v1::Transaction>();
  auto record = DecodeRecord(bytes);
  if (!record.ok()) return record.status();
  return std::optional<v1::Transaction>(*std::move(record));
}

void StoreRecord(storage::ReadWriter& rw, std::string_view anchor, const v1::Transaction& record) {
  std::string bytes(1, kRecordVersion);
  record.AppendToString(&bytes);
  rw.Put(storage::ColumnFamily::kRange, keys::AnchorKey(anchor, keys::AnchorField::kTransaction, record.meta().id()), bytes);
}

void RemoveRecord(storage::ReadWriter& rw, std::string_view anchor, std::string_view txn_id) {
  rw.Delete(storage::ColumnFamily::kRange, keys::AnchorKey(anchor, keys::AnchorField::kTransaction, txn_id));
}

absl::StatusOr<TxnOutcome> DecodeOutcome(std::string_view bytes) {
  if (bytes.empty() || bytes[0] != kOutcomeVersion) {
    return absl::UnimplementedError("a transaction outcome has a format that this version does not know");
  }
  if (bytes.size() != 18) return absl::DataLossError("a transaction outcome is damaged");
  return TxnOutcome{static_cast<v1::TxnStatus>(bytes[1]), Timestamp{ReadFixed64(bytes.data() + 2)}, Timestamp{ReadFixed64(bytes.data() + 10)}};
}

absl::StatusOr<std::optional<TxnOutcome>> LoadOutcome(storage::Reader& reader, std::string_view anchor, std::string_view txn_id) {
  std::string bytes;
  auto found = reader.Get(storage::ColumnFamily::kRange, keys::AnchorKey(anchor, keys::AnchorField::kOutcome, txn_id), &bytes);
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<TxnOutcome>();
  auto outcome = DecodeOutcome(bytes);
  if (!outcome.ok()) return outcome.status();
  return std::optional<TxnOutcome>(*outcome);
}

void StoreOutcome(storage::ReadWriter& rw, std::string_view anchor, std::string_view txn_id, const TxnOutcome& outcome) {
  std::string bytes;
  bytes.push_back(kOutcomeVersion);
  bytes.push_back(static_cast<char>(outcome.status));
  AppendFixed64(&bytes, outcome.commit_ts.bits);
  AppendFixed64(&bytes, outcome.written_at.bits);
  rw.Put(storage::ColumnFamily::kRange, keys::AnchorKey(anchor, keys::AnchorField::kOutcome, txn_id), bytes);
}

Timestamp LastActive(const v1::TxnMeta& meta, const v1::Transaction* record) {
  // Both were readings of a clock when the transaction did something; a write timestamp may have been moved up since, by little.
  Timestamp last = std::max(Timestamp{meta.min_ts()}, Timestamp{meta.write_ts()});
  if (record != nullptr) last = std::max(last, Timestamp{record->last_heartbeat()});
  return last;
}

Timestamp Expiry(const v1::TxnMeta& meta, const v1::Transaction* record) { return LastActive(meta, record).AddMicros(Micros(kTxnExpiry)); }

}  // namespace insula::kv

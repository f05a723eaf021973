#include "kv/replica/aborted.h"

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

constexpr char kFormat = 1;

// Calls `row` with each transaction's id and value.
template <typename Fn>
absl::Status EachRow(storage::Reader& reader, RangeId range, Fn row) {
  const std::string prefix = keys::RangeIdKey(range, keys::RangeField::kAborted), end = PrefixEnd(prefix);
  auto it = reader.NewIterator({.cf = storage::ColumnFamily::kRange, .lower = prefix, .upper = end});
  for (it->SeekToFirst(); it->Valid(); it->Next()) RETURN_IF_ERROR(row(it->key().substr(prefix.size()), it->value()));
  return it->status();
}

}  // namespace

std::string AbortedKey(RangeId range, std::string_view txn_id) { return StrCat(keys::RangeIdKey(range, keys::RangeField::kAborted), txn_id); }

std::string EncodeAborted(Timestamp when) {
  std::string bytes(1, kFormat);
  AppendFixed64(&bytes, when.bits);
  return bytes;
}

absl::StatusOr<AbortedTxns> LoadAborted(storage::Reader& reader, RangeId range) {
  AbortedTxns out;
  RETURN_IF_ERROR(EachRow(reader, range, [&](std::string_view id, std::string_view value) -> absl::Status {
    if (value.empty() || value[0] != kFormat) return absl::UnimplementedError("a note about an aborted transaction has a format that this version does not know");
    if (value.size() != 9) return absl::DataLossError("a note about an aborted transaction is damaged");
    out.emplace(id, Timestamp{ReadFixed64(value.data() + 1)});
    return absl::OkStatus();
  }));
  return out;
}

absl::Status CopyAborted(storage::Reader& reader, RangeId from, RangeId to, storage::WriteBatch* batch) {
  return EachRow(reader, from, [&](std::string_view id, std::string_view value) {
    batch->Put(storage::ColumnFamily::kRange, AbortedKey(to, id), value);
    return absl::OkStatus();
  });
}

}  // namespace insula::kv

#include "kv/replica/removed.h"

#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
constexpr char kFormat = 1;
}  // namespace

absl::StatusOr<RemovedReplicas> LoadRemoved(storage::Reader& reader, RangeId range) {
  RemovedReplicas out;
  std::string bytes;
  ASSIGN_OR_RETURN(bool found, reader.Get(storage::ColumnFamily::kRange, keys::RangeIdKey(range, keys::RangeField::kRemoved), &bytes));
  if (!found) return out;
  if (bytes.empty() || bytes[0] != kFormat) return absl::UnimplementedError("a note about removed replicas has a format that this version does not know");
  std::string_view rest(bytes);
  rest.remove_prefix(1);
  while (!rest.empty()) {
    uint64_t store, replica;
    if (!storage::TakeVarint(&rest, &store) || !storage::TakeVarint(&rest, &replica)) return absl::DataLossError("a note about removed replicas is damaged");
    out.emplace_back(store, replica);
  }
  return out;
}

void PutRemoved(storage::WriteBatch* batch, RangeId range, const RemovedReplicas& removed) {
  const std::string key = keys::RangeIdKey(range, keys::RangeField::kRemoved);
  if (removed.empty()) {
    batch->Delete(storage::ColumnFamily::kRange, key);
    return;
  }
  std::string bytes(1, kFormat);
  for (const auto& [store, replica] : removed) {
    storage::AppendVarint(&bytes, store);
    storage::AppendVarint(&bytes, replica);
  }
  batch->Put(storage::ColumnFamily::kRange, key, bytes);
}

}  // namespace insula::kv

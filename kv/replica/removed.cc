#include "kv/replica/removed.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
constexpr char kFormat = 2;
}  // namespace

RemovedReplica MakeRemoved(const v1::RangeDescriptor& range, const v1::ReplicaDescriptor& replica) {
  RemovedReplica removed{.store = replica.store_id(), .replica = replica.replica_id(), .held = {}};
  removed.held.set_range_id(range.range_id());
  removed.held.set_generation(range.generation());
  removed.held.set_start_key(range.start_key());
  removed.held.set_end_key(range.end_key());
  return removed;
}

absl::StatusOr<RemovedReplicas> LoadRemoved(storage::Reader& reader, RangeId range_id) {
  RemovedReplicas out;
  std::string bytes;
  ASSIGN_OR_RETURN(bool found, reader.Get(storage::ColumnFamily::kRange, keys::RangeIdKey(range_id, keys::RangeField::kRemoved), &bytes));
  if (!found) return out;
  if (bytes.empty() || bytes[0] != kFormat) return absl::UnimplementedError("a note about removed replicas has a format that this version does not know");
  std::string_view rest(bytes);
  rest.remove_prefix(1);
  while (!rest.empty()) {
    uint64_t store, replica, range, generation;
    std::string_view start, end;
    const bool ok = storage::TakeVarint(&rest, &store) && storage::TakeVarint(&rest, &replica) && storage::TakeVarint(&rest, &range) &&
                    storage::TakeVarint(&rest, &generation) && storage::TakeString(&rest, &start) && storage::TakeString(&rest, &end);
    if (!ok) return absl::DataLossError("a note about removed replicas is damaged");
    RemovedReplica& r = out.emplace_back(RemovedReplica{.store = store, .replica = replica, .held = {}});
    r.held.set_range_id(range);
    r.held.set_generation(generation);
    r.held.set_start_key(std::string(start));
    r.held.set_end_key(std::string(end));
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
  for (const RemovedReplica& r : removed) {
    for (uint64_t v : {r.store, r.replica, r.held.range_id(), r.held.generation()}) storage::AppendVarint(&bytes, v);
    storage::AppendString(&bytes, r.held.start_key());
    storage::AppendString(&bytes, r.held.end_key());
  }
  batch->Put(storage::ColumnFamily::kRange, key, bytes);
}

absl::Status TakeRemoved(storage::Reader& reader, RangeId left, RangeId right, storage::WriteBatch* batch) {
  ASSIGN_OR_RETURN(RemovedReplicas more, LoadRemoved(reader, right));
  if (more.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(RemovedReplicas removed, LoadRemoved(reader, left));
  for (RemovedReplica& r : more) removed.push_back(std::move(r));
  PutRemoved(batch, left, removed);
  return absl::OkStatus();
}

}  // namespace insula::kv

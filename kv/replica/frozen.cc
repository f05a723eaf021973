#include "kv/replica/frozen.h"

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {
namespace {
constexpr char kFormat = 1;
}  // namespace

std::string FrozenKey(RangeId range) { return keys::RangeIdKey(range, keys::RangeField::kFrozen); }

std::string EncodeFrozen(const Frozen& frozen) { return StrCat(std::string(1, kFormat), frozen.merge_id, frozen.anchor); }

absl::StatusOr<std::optional<Frozen>> LoadFrozen(storage::Reader& reader, RangeId range) {
  std::string bytes;
  ASSIGN_OR_RETURN(bool found, reader.Get(storage::ColumnFamily::kRange, FrozenKey(range), &bytes));
  if (!found) return std::optional<Frozen>();
  if (bytes.empty() || bytes[0] != kFormat) return absl::UnimplementedError("a note about a merge has a format that this version does not know");
  if (bytes.size() <= 1 + kMergeIdBytes) return absl::DataLossError("a note about a merge is damaged");
  return std::optional<Frozen>({.merge_id = bytes.substr(1, kMergeIdBytes), .anchor = bytes.substr(1 + kMergeIdBytes)});
}

}  // namespace insula::kv

#include "kv/replica/gc_threshold.h"

#include "base/encoding/ordered.h"

namespace insula::kv {
namespace {
constexpr char kFormat = 1;
}

std::string GcThresholdKey(RangeId range) { return keys::RangeIdKey(range, keys::RangeField::kGcThreshold); }

std::string EncodeGcThreshold(Timestamp threshold) {
  std::string bytes(1, kFormat);
  AppendFixed64(&bytes, threshold.bits);
  return bytes;
}

absl::StatusOr<Timestamp> LoadGcThreshold(storage::Reader& reader, RangeId range) {
  std::string bytes;
  auto found = reader.Get(storage::ColumnFamily::kRange, GcThresholdKey(range), &bytes);
  if (!found.ok()) return found.status();
  if (!*found) return Timestamp();
  if (bytes.empty() || bytes[0] != kFormat) return absl::UnimplementedError("a GC threshold has a format that this version does not know");
  if (bytes.size() != 9) return absl::DataLossError("a GC threshold is damaged");
  return Timestamp{ReadFixed64(bytes.data() + 1)};
}

}  // namespace insula::kv

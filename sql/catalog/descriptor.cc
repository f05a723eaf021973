#include "sql/catalog/descriptor.h"

#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"

namespace insula::sql {
namespace {

template <typename T>
absl::StatusOr<std::shared_ptr<const T>> Decode(std::string_view bytes, std::string_view what) {
  auto out = std::make_shared<T>();
  if (!out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::DataLossError(StrCat("malformed ", what));
  if (out->version() != kDescriptorVersion) {
    return absl::DataLossError(StrCat(what, " of version ", out->version(), "; this program knows ", kDescriptorVersion));
  }
  return std::shared_ptr<const T>(std::move(out));
}

}  // namespace

std::string EncodeDescriptor(const v1::Descriptor& descriptor) { return descriptor.SerializeAsString(); }
absl::StatusOr<DescriptorPtr> DecodeDescriptor(std::string_view bytes) { return Decode<v1::Descriptor>(bytes, "descriptor"); }
std::string EncodeStatistics(const v1::TableStatistics& statistics) { return statistics.SerializeAsString(); }
absl::StatusOr<StatisticsPtr> DecodeStatistics(std::string_view bytes) { return Decode<v1::TableStatistics>(bytes, "statistics"); }

}  // namespace insula::sql

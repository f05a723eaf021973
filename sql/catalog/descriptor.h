// Stored descriptors in memory: shared, immutable, and how they are encoded.
#ifndef INSULA_SQL_CATALOG_DESCRIPTOR_H_
#define INSULA_SQL_CATALOG_DESCRIPTOR_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace insula::sql {

namespace v1 {
class Descriptor;
class TableStatistics;
}  // namespace v1

using DescriptorPtr = std::shared_ptr<const v1::Descriptor>;
using StatisticsPtr = std::shared_ptr<const v1::TableStatistics>;

inline constexpr uint32_t kDescriptorVersion = 1;

std::string EncodeDescriptor(const v1::Descriptor& descriptor);
// kDataLoss for garbage and for versions that this program does not know.
absl::StatusOr<DescriptorPtr> DecodeDescriptor(std::string_view bytes);
std::string EncodeStatistics(const v1::TableStatistics& statistics);
absl::StatusOr<StatisticsPtr> DecodeStatistics(std::string_view bytes);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_DESCRIPTOR_H_

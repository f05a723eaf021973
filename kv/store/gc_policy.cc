#include "kv/store/gc_policy.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/mvcc.h"
#include "kv/store/protected_timestamps.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

template <typename Int>
bool ParseInt(std::string_view text, Int* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

// `name` is what comes after the prefix.
absl::Status AddTtl(std::string_view name, std::string_view value, GcPolicy* policy) {
  int64_t seconds = 0;
  uint64_t keyspace = 0;
  const bool is_default = name == "default";
  if (!ParseInt(value, &seconds) || seconds <= 0 || (!is_default && !ParseInt(name, &keyspace))) {
    return absl::DataLossError(StrCat("the setting ", keys::kGcTtlSetting, name, " is not a number of seconds"));
  }
  Duration ttl = std::max<Duration>(kLeastGcTtl, std::chrono::seconds(std::min<int64_t>(seconds, 1'000'000'000)));
  if (is_default) {
    policy->default_ttl = ttl;
  } else {
    policy->ttl[keyspace] = ttl;
  }
  return absl::OkStatus();
}

absl::Status AddRows(const v1::ScanResponse& scan, GcPolicy* policy) {
  mvcc::RowsCursor rows(scan.rows());
  const std::string settings = keys::SystemKey(keys::SystemTable::kSetting), protections = keys::SystemKey(keys::SystemTable::kProtectedTimestamp);
  std::string_view key, value;
  while (rows.Next(&key, &value)) {
    if (key.starts_with(protections)) {
      v1::ProtectedTimestamp& row = policy->protections.emplace_back();
      if (!row.ParseFromArray(value.data(), static_cast<int>(value.size()))) return absl::DataLossError("a protected timestamp's row does not parse");
      if (row.version() != kProtectedTimestampVersion) return absl::UnimplementedError("a protected timestamp's row has a format that this version does not know");
      continue;
    }
    std::string_view rest = key.substr(settings.size());
    ASSIGN_OR_RETURN(std::string name, TakeBytes(&rest));
    RETURN_IF_ERROR(AddTtl(std::string_view(name).substr(keys::kGcTtlSetting.size()), value, policy));
  }
  return rows.ok() ? absl::OkStatus() : absl::DataLossError("rows of the system range do not parse");
}

}  // namespace

Duration GcPolicy::TtlOf(const v1::RangeDescriptor& range) const {
  auto keyspace = KeyspaceOf(range.start_key());
  auto it = keyspace ? ttl.find(*keyspace) : ttl.end();
  return it == ttl.end() ? default_ttl : it->second;
}

Timestamp GcPolicy::ThresholdOf(const v1::RangeDescriptor& range) const {
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(TtlOf(range)).count();
  if (read_at.micros() <= static_cast<uint64_t>(micros)) return Timestamp();
  Timestamp threshold = read_at.AddMicros(-micros);
  for (const v1::ProtectedTimestamp& p : protections) {
    for (const v1::Span& span : p.spans()) {
      const std::string end = span.end_key().empty() ? keys::Next(span.key()) : span.end_key();
      if (keys::RangesOverlap(range.start_key(), range.end_key(), span.key(), end)) threshold = std::min(threshold, Timestamp{p.timestamp()});
    }
  }
  return threshold;
}

Task<absl::StatusOr<GcPolicy>> ReadGcPolicy(const Context& ctx, Sender& sender, Timestamp at, Duration default_ttl) {
  GcPolicy policy;
  policy.read_at = at;
  policy.default_ttl = default_ttl;
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_timestamp(at.bits);  // nothing is written at or below it any more
  for (const std::string& prefix : {keys::GcTtlSettings(), keys::SystemKey(keys::SystemTable::kProtectedTimestamp)}) {
    v1::ScanRequest* scan = batch.add_requests()->mutable_scan();
    scan->set_key(prefix);
    scan->set_end_key(PrefixEnd(prefix));
  }
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  for (const v1::Response& one : response.responses()) CO_RETURN_IF_ERROR(AddRows(one.scan(), &policy));
  co_return policy;
}

}  // namespace insula::kv

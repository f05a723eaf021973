// libFuzzer target: a tenant's stream message as bytes, through everything that looks at it before a replica does. What the wall lets
// through must name no foreign key anywhere (looked for by reflection, without the wall's own table); what it lets out, too.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/hlc/hlc.h"
#include "kv/api/request.h"
#include "kv/server/authorization.h"
#include "kv/server/batch_service.h"
#include "proto/kv/api.pb.h"
#include "tenant/tenant.h"

using namespace insula;      // NOLINT
using namespace insula::kv;  // NOLINT

namespace {

constexpr TenantScope kScope{.tenant = 7, .keyspace = 300};

bool NamesForeignKey(const google::protobuf::Message& message) {
  const auto* reflection = message.GetReflection();
  if (!reflection->GetUnknownFields(message).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->type() == google::protobuf::FieldDescriptor::TYPE_MESSAGE) {
      const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
      for (int i = 0; i < count; ++i) {
        if (NamesForeignKey(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i) : reflection->GetMessage(message, field))) return true;
      }
      continue;
    }
    const std::string& name = field->name();
    if (name != "key" && name != "end_key" && name != "anchor_key" && name != "split_key") continue;
    const std::string key = reflection->GetString(message, field);
    const std::string prefix = KeyspacePrefix(kScope.keyspace);
    // An end may be the end of the keyspace; an empty end or anchor is none.
    const bool is_end = name == "end_key" && key == PrefixEnd(prefix);
    if (!key.empty() && !is_end && key.compare(0, prefix.size(), prefix) != 0) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  v1::StreamRequest message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  for (const auto& call : message.calls()) {
    std::string target;
    const absl::Status allowed = AuthorizeTenantBatch(kScope, Timestamp::FromMicros(1'000'000), call.batch(), &target);
    CHECK(!allowed.ok() || !NamesForeignKey(call.batch())) << "the wall let a foreign key through";
    (void)Validate(call.batch());
    (void)WorkOf(call.batch(), call.ByteSizeLong());
    (void)IsFinishing(call.batch());
  }
  v1::BatchResponse response;
  if (response.ParseFromArray(data, static_cast<int>(size))) {
    (void)FilterForTenant(kScope, &response);
    const std::string prefix = KeyspacePrefix(kScope.keyspace);
    for (const auto& range : response.updated_ranges()) CHECK(range.start_key().compare(0, prefix.size(), prefix) == 0) << "a foreign range";
  }
  return 0;
}

#include "kv/server/authorization.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>
#include <gtest/gtest.h>

#include <set>

#include "base/encoding/ordered.h"
#include "base/runtime/random.h"

namespace insula::kv {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr TenantScope kScope{.tenant = 7, .keyspace = 300};
std::string Own(std::string_view rest) { return KeyspacePrefix(300) + std::string(rest); }
std::string Foreign(std::string_view rest) { return KeyspacePrefix(301) + std::string(rest); }

bool IsKeyField(const FieldDescriptor* field) {
  static const std::set<std::string> kNames = {"key", "end_key", "anchor_key", "split_key"};
  return field->type() == FieldDescriptor::TYPE_BYTES && kNames.contains(field->name());
}

// Sets every key of a message (and of one element of each of its parts) to the tenant's own; collects where they are.
void FillKeys(Message* message, std::vector<std::pair<Message*, const FieldDescriptor*>>* keys, int depth = 0) {
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    if (IsKeyField(field)) {
      reflection->SetString(message, field, field->name() == "end_key" ? Own("z") : Own("a"));
      keys->push_back({message, field});
    } else if (field->type() == FieldDescriptor::TYPE_MESSAGE && depth < 4 && field->containing_oneof() == nullptr) {
      Message* part = field->is_repeated() ? reflection->AddMessage(message, field) : reflection->MutableMessage(message, field);
      FillKeys(part, keys, depth + 1);
    }
  }
}

// One request of each type of the oneof.
std::vector<const FieldDescriptor*> RequestTypes() {
  std::vector<const FieldDescriptor*> types;
  const auto* oneof = v1::Request::descriptor()->FindOneofByName("value");
  for (int i = 0; i < oneof->field_count(); ++i) types.push_back(oneof->field(i));
  return types;
}

TEST(Authorization, EveryRequestTypeHasItsRow) {
  const std::set<std::string> kDenied = {"admin_split", "gc"};
  for (const FieldDescriptor* type : RequestTypes()) {
    v1::BatchRequest batch;
    v1::Request* request = batch.add_requests();
    std::vector<std::pair<Message*, const FieldDescriptor*>> keys;
    FillKeys(request->GetReflection()->MutableMessage(request, type), &keys);
    EXPECT_EQ(AuthorizeTenantBatch(kScope, batch).ok(), !kDenied.contains(type->name())) << type->name();
  }
}

TEST(Authorization, NoKeyAnywhereInABatchMayBeForeign) {
  for (const FieldDescriptor* type : RequestTypes()) {
    v1::BatchRequest batch;
    std::vector<std::pair<Message*, const FieldDescriptor*>> keys;
    FillKeys(batch.mutable_header(), &keys);
    v1::Request* request = batch.add_requests();
    FillKeys(request->GetReflection()->MutableMessage(request, type), &keys);
    for (auto& [message, field] : keys) {
      std::string own = message->GetReflection()->GetString(*message, field);
      for (const std::string& foreign : {Foreign("a"), KeyspacePrefix(299) + "a", std::string("\x04t"), std::string("\x02"), PrefixEnd(KeyspacePrefix(300)) + "x"}) {
        message->GetReflection()->SetString(message, field, foreign);
        EXPECT_EQ(AuthorizeTenantBatch(kScope, batch).code(), absl::StatusCode::kPermissionDenied) << type->name() << " " << field->full_name();
      }
      message->GetReflection()->SetString(message, field, own);
    }
  }
}

TEST(Authorization, SpansMustEndInsideTheKeyspace) {
  v1::BatchRequest batch;
  auto* scan = batch.add_requests()->mutable_scan();
  scan->set_key(KeyspacePrefix(300));
  scan->set_end_key(PrefixEnd(KeyspacePrefix(300)));
  EXPECT_TRUE(AuthorizeTenantBatch(kScope, batch).ok());
  scan->set_end_key("");
  EXPECT_FALSE(AuthorizeTenantBatch(kScope, batch).ok());
}

TEST(Authorization, AnotherTenantsNameIsRefused) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_tenant_id(8);
  EXPECT_FALSE(AuthorizeTenantBatch(kScope, batch).ok());
  batch.mutable_header()->set_tenant_id(7);
  EXPECT_TRUE(AuthorizeTenantBatch(kScope, batch).ok());
}

TEST(Authorization, RandomBatchesNeverReachOutside) {
  SeededRandom random(11);
  std::string start = KeyspacePrefix(300), end = PrefixEnd(start);
  auto key = [&] { return random.Chance(0.8) ? Own(random.Bytes(random.Uniform(3))) : random.Bytes(random.Uniform(6)); };
  int allowed = 0;
  for (int i = 0; i < 20000; ++i) {
    v1::BatchRequest batch;
    auto* scan = batch.add_requests()->mutable_scan();
    scan->set_key(key());
    scan->set_end_key(key());
    if (!AuthorizeTenantBatch(kScope, batch).ok()) continue;
    ++allowed;
    EXPECT_GE(scan->key(), start);
    EXPECT_LE(scan->end_key(), end);
  }
  EXPECT_GT(allowed, 1000);
}

TEST(Authorization, AnswersNameOwnRangesOnly) {
  v1::BatchResponse response;
  auto add = [](v1::RangeDescriptor* range, uint64_t keyspace) {
    range->set_start_key(KeyspacePrefix(keyspace));
    range->set_end_key(PrefixEnd(KeyspacePrefix(keyspace)));
  };
  auto* lookup = response.add_responses()->mutable_range_lookup();
  for (uint64_t keyspace : {299, 300, 301}) {
    add(lookup->add_ranges(), keyspace);
    add(response.add_updated_ranges(), keyspace);
    add(response.mutable_error()->mutable_range_mismatch()->add_current(), keyspace);
  }
  FilterForTenant(kScope, &response);
  ASSERT_EQ(lookup->ranges_size(), 1);
  EXPECT_EQ(lookup->ranges(0).start_key(), KeyspacePrefix(300));
  EXPECT_EQ(response.updated_ranges_size(), 1);
  EXPECT_EQ(response.error().range_mismatch().current_size(), 1);
}

}  // namespace
}  // namespace insula::kv

#include "kv/server/authorization.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/hlc/hlc.h"
#include "base/runtime/random.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr TenantScope kScope{.tenant = 7, .keyspace = 300};
constexpr Timestamp kLatest = Timestamp::FromMicros(1'000'000'000);
const std::string kTxnId = "0123456789abcdef";
std::string Own(std::string_view rest) { return KeyspacePrefix(300) + std::string(rest); }
std::string Foreign(std::string_view rest) { return KeyspacePrefix(301) + std::string(rest); }

bool IsKeyField(const FieldDescriptor* field) {
  static const std::set<std::string> kNames = {"key", "end_key", "anchor_key", "split_key"};
  return field->type() == FieldDescriptor::TYPE_BYTES && kNames.contains(field->name());
}

// Timestamps that a clock must have given. A deadline lies in the future by its nature.
bool IsTimeField(const FieldDescriptor* field) { return field->type() == FieldDescriptor::TYPE_FIXED64 && field->name() != "deadline" && field->name() != "base_timestamp"; }

bool IsTxnIdField(const FieldDescriptor* field) {
  return field->type() == FieldDescriptor::TYPE_BYTES && (field->name() == "txn_id" || (field->name() == "id" && field->containing_type() == v1::TxnMeta::descriptor()));
}

// Sets every key of a message (and of one element of each of its parts) to the tenant's own; collects where they are.
void FillKeys(Message* message, std::vector<std::pair<Message*, const FieldDescriptor*>>* keys, int depth = 0) {
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    if (IsKeyField(field)) {
      reflection->SetString(message, field, field->name() == "end_key" ? Own("z") : Own("a"));
      keys->push_back({message, field});
    } else if (IsTxnIdField(field)) {
      reflection->SetString(message, field, kTxnId);
    } else if (field->type() == FieldDescriptor::TYPE_MESSAGE && depth < 4 && field->containing_oneof() == nullptr) {
      Message* part = field->is_repeated() ? reflection->AddMessage(message, field) : reflection->MutableMessage(message, field);
      FillKeys(part, keys, depth + 1);
    }
  }
}

absl::Status Check(const v1::BatchRequest& batch, std::string* target = nullptr) {
  std::string ignored;
  return AuthorizeTenantBatch(kScope, kLatest, batch, target == nullptr ? &ignored : target);
}
bool IsDenied(const absl::Status& status) { return GetKvError(status) && GetKvError(status)->has_unauthorized(); }
bool IsInvalid(const absl::Status& status) { return GetKvError(status) && GetKvError(status)->has_invalid(); }

// A batch of one request of `type` in a transaction, with all its keys the tenant's; where they are, for `visit`.
struct Sample {
  explicit Sample(const FieldDescriptor* type) : batch(NewBatch()) {
    FillKeys(batch.mutable_header(), &keys);
    batch.mutable_header()->set_max_bytes(1 << 20);
    v1::Request* request = batch.add_requests();
    FillKeys(request->GetReflection()->MutableMessage(request, type), &keys);
  }
  v1::BatchRequest batch;
  std::vector<std::pair<Message*, const FieldDescriptor*>> keys;
};

// All messages inside `message`, itself included.
void AllParts(Message* message, std::vector<Message*>* parts) {
  parts->push_back(message);
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->type() != FieldDescriptor::TYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      AllParts(reflection->MutableMessage(message, field), parts);
    } else {
      for (int i = 0; i < reflection->FieldSize(*message, field); ++i) AllParts(reflection->MutableRepeatedMessage(message, field, i), parts);
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

TEST(Authorization, RowsToInsertLieInTheirSpan) {
  for (bool inside : {true, false}) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    auto* insert = batch.add_requests()->mutable_insert_rows();
    insert->set_key(Own("a"));
    insert->set_end_key(Own("z"));
    storage::AppendString(insert->mutable_rows(), Own("b"));
    storage::AppendString(insert->mutable_rows(), "value");
    storage::AppendString(insert->mutable_rows(), inside ? Own("c") : Foreign("c"));
    storage::AppendString(insert->mutable_rows(), "value");
    absl::Status status = Check(batch);
    EXPECT_EQ(status.ok(), inside) << status;
    if (!inside) EXPECT_TRUE(IsDenied(status)) << status;
  }
}

// Request -> may a tenant send it. A new request type fails here until it has a line.
const std::map<std::string, bool> kMaySend = {
    {"get", true},           {"scan", true},           {"put", true},          {"delete", true},       {"conditional_put", true}, {"increment", true},
    {"delete_range", true},  {"end_txn", true},        {"refresh", true},      {"push_txn", false},    {"query_txn", false},      {"query_outcome", true},
    {"query_locks", true},   {"resolve_intent", false}, {"heartbeat_txn", true}, {"recover_txn", true}, {"query_intent", true},   {"lock", true},
    {"admin_split", false},  {"range_stats", true},    {"lease_info", true},   {"range_lookup", true}, {"check", true},
    {"gc", false},           {"clear_range", true},    {"insert_rows", true},
    {"admin_merge", false},  {"admin_change_replicas", false}, {"admin_transfer_lease", false}, {"subsume", false}, {"check_consistency", false},
};

TEST(Authorization, EveryRequestTypeHasItsRow) {
  EXPECT_EQ(RequestTypes().size(), kMaySend.size());
  for (const FieldDescriptor* type : RequestTypes()) {
    ASSERT_TRUE(kMaySend.contains(type->name())) << type->name() << " is new: may tenants send it?";
    Sample sample(type);
    std::string target;
    absl::Status status = Check(sample.batch, &target);
    if (kMaySend.at(type->name())) {
      EXPECT_TRUE(status.ok()) << type->name() << " " << status;
    } else {
      EXPECT_TRUE(IsDenied(status)) << type->name() << " " << status;
      EXPECT_EQ(GetKvError(status)->request_index(), 0);
      EXPECT_EQ(target, "request " + type->name());
    }
  }
}

TEST(Authorization, NoKeyAnywhereInABatchMayBeForeign) {
  int places = 0;
  for (const FieldDescriptor* type : RequestTypes()) {
    Sample sample(type);
    for (auto& [message, field] : sample.keys) {
      std::string own = message->GetReflection()->GetString(*message, field);
      for (const std::string& foreign : {Foreign("a"), KeyspacePrefix(299) + "a", std::string("\x04t"), std::string("\x02"), std::string("\x03x"), std::string("\xff"),
                                         std::string("\xfe"), PrefixEnd(KeyspacePrefix(300)) + "x"}) {
        message->GetReflection()->SetString(message, field, foreign);
        absl::Status status = Check(sample.batch);
        EXPECT_TRUE(IsDenied(status)) << type->name() << " " << field->full_name() << " " << status;
        EXPECT_EQ(std::string(status.message()).find("301"), std::string::npos);
        ++places;
      }
      message->GetReflection()->SetString(message, field, own);
    }
  }
  EXPECT_GT(places, 800);
}

TEST(Authorization, NoTimestampAnywhereMayBeAheadOfAllClocks) {
  int places = 0;
  for (const FieldDescriptor* type : RequestTypes()) {
    if (!kMaySend.at(type->name())) continue;
    Sample sample(type);
    std::vector<Message*> parts;
    AllParts(&sample.batch, &parts);
    for (Message* part : parts) {
      for (int i = 0; i < part->GetDescriptor()->field_count(); ++i) {
        const FieldDescriptor* field = part->GetDescriptor()->field(i);
        if (!IsTimeField(field)) continue;
        for (uint64_t far : {kLatest.Next().bits, Timestamp::Max().bits}) {
          part->GetReflection()->SetUInt64(part, field, far);
          EXPECT_TRUE(IsInvalid(Check(sample.batch))) << type->name() << " " << field->full_name();
        }
        part->GetReflection()->SetUInt64(part, field, kLatest.bits);
        EXPECT_TRUE(Check(sample.batch).ok()) << type->name() << " " << field->full_name();
        ++places;
      }
    }
  }
  EXPECT_GT(places, 100);
}

TEST(Authorization, WhatThisNodeDoesNotKnowIsRefused) {
  for (const FieldDescriptor* type : RequestTypes()) {
    if (!kMaySend.at(type->name())) continue;
    Sample sample(type);
    std::vector<Message*> parts;
    AllParts(&sample.batch, &parts);
    for (Message* part : parts) {
      auto* unknown = part->GetReflection()->MutableUnknownFields(part);
      unknown->AddLengthDelimited(900, Foreign("a"));
      EXPECT_TRUE(IsInvalid(Check(sample.batch))) << type->name() << " in " << part->GetTypeName();
      unknown->Clear();
    }
    EXPECT_TRUE(Check(sample.batch).ok());
  }
  // A request type of a newer version: a field of the oneof that is not known here.
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->GetReflection()->MutableUnknownFields(batch.mutable_requests(0))->AddLengthDelimited(99, "x");
  EXPECT_TRUE(IsInvalid(Check(batch)));
  batch = NewBatch();
  batch.mutable_header()->set_version(kBatchVersion + 1);
  EXPECT_TRUE(IsInvalid(Check(batch)));
}

TEST(Authorization, EnumValuesOfNewerVersionsAreRefused) {
  for (const FieldDescriptor* type : RequestTypes()) {
    if (!kMaySend.at(type->name())) continue;
    Sample sample(type);
    std::vector<Message*> parts;
    AllParts(&sample.batch, &parts);
    for (Message* part : parts) {
      for (int i = 0; i < part->GetDescriptor()->field_count(); ++i) {
        const FieldDescriptor* field = part->GetDescriptor()->field(i);
        if (field->type() != FieldDescriptor::TYPE_ENUM) continue;
        part->GetReflection()->SetEnumValue(part, field, 77);
        EXPECT_TRUE(IsInvalid(Check(sample.batch))) << type->name() << " " << field->full_name();
        part->GetReflection()->SetEnumValue(part, field, 0);
      }
    }
  }
}

TEST(Authorization, SpansMustBeOnesAndEndInsideTheKeyspace) {
  std::string start = KeyspacePrefix(300), end = PrefixEnd(start);
  auto scan = [](std::string key, std::string end_key) {
    v1::BatchRequest batch = NewBatch();
    batch.mutable_header()->set_max_bytes(1);
    batch.add_requests()->mutable_scan()->set_key(std::move(key));
    batch.mutable_requests(0)->mutable_scan()->set_end_key(std::move(end_key));
    return Check(batch);
  };
  EXPECT_TRUE(scan(start, end).ok());
  EXPECT_TRUE(IsInvalid(scan(start, "")));
  EXPECT_TRUE(IsInvalid(scan(Own("b"), Own("a"))));
  EXPECT_TRUE(IsInvalid(scan(Own("b"), Own("b"))));
  EXPECT_TRUE(IsDenied(scan(start, end + '\0')));
  EXPECT_TRUE(IsDenied(scan(start, "\xff")));
  EXPECT_TRUE(IsDenied(scan(end, end + "a")));
  EXPECT_TRUE(IsInvalid(scan(Own(std::string(kMaxKeyBytes, 'a')), Own("z"))));
  EXPECT_TRUE(IsInvalid(scan(Own("a"), Own(std::string(kMaxKeyBytes, 'z')))));
}

TEST(Authorization, SpansInHeadersAndCommitsAreHeldToTheSame) {
  v1::BatchRequest batch = NewBatch();
  auto* span = batch.mutable_header()->add_refresh_spans();
  span->set_key(Own("b"));
  span->set_end_key(Own("a"));
  EXPECT_TRUE(IsInvalid(Check(batch)));
  span->set_end_key(Own("c"));
  EXPECT_TRUE(Check(batch).ok());
  auto* lock_span = batch.add_requests()->mutable_end_txn()->add_lock_spans();
  lock_span->set_key(Own("b"));
  lock_span->set_end_key(Own("a"));
  EXPECT_TRUE(IsInvalid(Check(batch)));
}

TEST(Authorization, TransactionIdsHaveTheirLength) {
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_query_outcome()->set_key(Own("a"));
  for (size_t size : {size_t{0}, size_t{15}, size_t{17}, size_t{1} << 20}) {
    batch.mutable_requests(0)->mutable_query_outcome()->set_txn_id(std::string(size, 'x'));
    EXPECT_TRUE(IsInvalid(Check(batch))) << size;
  }
  batch.mutable_requests(0)->mutable_query_outcome()->set_txn_id(kTxnId);
  EXPECT_TRUE(Check(batch).ok());
}

TEST(Authorization, WaitsHaveAnEnd) {
  for (int64_t wait : {int64_t{-1}, INT64_MIN, INT64_MAX, kMaxWaitMicros + 1}) {
    v1::BatchRequest batch = NewBatch();
    batch.mutable_header()->set_lock_timeout_us(wait);
    EXPECT_TRUE(IsInvalid(Check(batch))) << wait;
    batch.mutable_header()->set_lock_timeout_us(kMaxWaitMicros);
    EXPECT_TRUE(Check(batch).ok());
    batch.mutable_header()->set_timeout_us(wait);
    EXPECT_TRUE(IsInvalid(Check(batch))) << wait;
  }
}

TEST(Authorization, ATenantMaySettleItsOwnLostCommits) {
  v1::BatchRequest batch = NewBatch();
  auto* query = batch.add_requests()->mutable_query_intent();
  query->set_key(Own("a"));
  query->mutable_txn()->set_id(kTxnId);
  EXPECT_TRUE(Check(batch).ok());
  query->set_prevent(true);
  EXPECT_TRUE(Check(batch).ok());
  query->set_key(Foreign("a"));
  EXPECT_TRUE(IsDenied(Check(batch)));
}

TEST(Authorization, ALookupBeginsWhereTheKeySaysAndToldIsNothingOfMetaRanges) {
  v1::BatchRequest batch = NewBatch();
  batch.add_requests()->mutable_range_lookup()->set_key(Own("a"));
  EXPECT_TRUE(Check(batch).ok());
  for (const std::string& from : {keys::LookupStart(Own("a")), keys::LookupStart(Foreign("a")), Own("a"), std::string("\x03")}) {
    batch.mutable_requests(0)->mutable_range_lookup()->set_from(from);
    EXPECT_TRUE(IsDenied(Check(batch)));
  }
  v1::BatchResponse response;
  auto* lookup = response.add_responses()->mutable_range_lookup();
  lookup->set_go_on(keys::Meta2Key(Foreign("secret")));
  v1::RangeDescriptor meta;
  meta.set_start_key(keys::Meta2Key(Foreign("secret")));
  meta.set_end_key(keys::SystemStart());
  *lookup->add_ranges() = meta;
  *response.add_updated_ranges() = meta;
  *response.mutable_error()->mutable_range_mismatch()->add_current() = meta;
  FilterForTenant(kScope, &response);
  EXPECT_EQ(response.SerializeAsString().find("secret"), std::string::npos) << response.ShortDebugString();
}

TEST(Authorization, AnotherTenantsNameIsRefused) {
  v1::BatchRequest batch = NewBatch();
  batch.mutable_header()->set_tenant_id(8);
  std::string target;
  EXPECT_TRUE(IsDenied(Check(batch, &target)));
  EXPECT_EQ(target, "tenant 8's name");
  batch.mutable_header()->set_tenant_id(7);
  EXPECT_TRUE(Check(batch).ok());
}

TEST(Authorization, TheTargetSaysWhereAndNeverWhich) {
  const std::map<std::string, std::string> kPlaces = {{Foreign("secret"), "keyspace 301"},
                                                      {keys::SystemKey(keys::SystemTable::kTenantName, "secret"), "the system range"},
                                                      {keys::Meta2Key("secret"), "the meta ranges"},
                                                      {"\xffsecret", "no key space"},
                                                      {"\xfe", "no key space"},
                                                      {"", "the meta ranges"}};
  for (auto& [key, place] : kPlaces) {
    v1::BatchRequest batch = NewBatch();
    batch.add_requests()->mutable_get()->set_key(Own("a"));
    batch.add_requests()->mutable_get()->set_key(key);
    std::string target;
    absl::Status status = Check(batch, &target);
    EXPECT_TRUE(IsDenied(status)) << place;
    EXPECT_EQ(GetKvError(status)->request_index(), 1);
    EXPECT_EQ(target, place);
    EXPECT_EQ(status.ToString().find("secret"), std::string::npos);
  }
}

TEST(Authorization, AScanSaysHowMuchItTakes) {
  auto scan = [](uint64_t max_bytes) {
    v1::BatchRequest batch = NewBatch();
    batch.mutable_header()->set_max_bytes(max_bytes);
    batch.add_requests()->mutable_scan()->set_key(Own("a"));
    batch.mutable_requests(0)->mutable_scan()->set_end_key(Own("b"));
    return Check(batch);
  };
  EXPECT_TRUE(scan(1).ok());
  EXPECT_TRUE(scan(kMaxTenantScanBytes).ok());
  for (uint64_t wrong : {uint64_t{0}, kMaxTenantScanBytes + 1, UINT64_MAX}) {
    absl::Status status = scan(wrong);
    EXPECT_TRUE(IsInvalid(status)) << wrong;
    EXPECT_NE(status.message().find("max_bytes"), std::string::npos) << status;
  }
}

TEST(Authorization, RandomBatchesNeverReachOutside) {
  SeededRandom random(11);
  std::string start = KeyspacePrefix(300), end = PrefixEnd(start);
  auto key = [&] { return random.Chance(0.8) ? Own(random.Bytes(random.Uniform(3))) : random.Bytes(random.Uniform(6)); };
  int allowed = 0;
  for (int i = 0; i < 20000; ++i) {
    v1::BatchRequest batch = NewBatch();
    batch.mutable_header()->set_max_bytes(1 << 10);
    auto* scan = batch.add_requests()->mutable_scan();
    scan->set_key(key());
    scan->set_end_key(key());
    if (!Check(batch).ok()) continue;
    ++allowed;
    EXPECT_GE(scan->key(), start);
    EXPECT_LT(scan->key(), scan->end_key());
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
  for (uint64_t node : {1, 2, 3}) {
    lookup->mutable_ranges(static_cast<int>(node) - 1)->add_replicas()->set_node_id(node);
    lookup->add_nodes()->set_node_id(node);
  }
  lookup->mutable_ranges(1)->set_base_keyspace(299);
  EXPECT_EQ(FilterForTenant(kScope, &response), "");
  ASSERT_EQ(lookup->ranges_size(), 1);
  EXPECT_EQ(lookup->ranges(0).start_key(), KeyspacePrefix(300));
  EXPECT_EQ(response.updated_ranges_size(), 1);
  EXPECT_EQ(response.error().range_mismatch().current_size(), 1);
  ASSERT_EQ(lookup->nodes_size(), 1) << "who stores others' ranges is theirs to know";
  EXPECT_EQ(lookup->nodes(0).node_id(), 2u);
  EXPECT_EQ(lookup->ranges(0).base_keyspace(), 0u) << "a fork does not name its parent";
}

TEST(Authorization, ErrorsNameOwnKeysOnly) {
  v1::BatchResponse response;
  auto filtered = [&](const absl::Status& status) {
    *response.mutable_error() = ToKvError(status);
    FilterForTenant(kScope, &response);
    return response.error().SerializeAsString();
  };
  for (const absl::Status& status : {TxnRetryError(v1::Error::TxnRetry::WRITE_TOO_OLD, kLatest, Foreign("secret"), "x"), LockConflictError(Foreign("secret"), false),
                                     ConditionFailedError(Foreign("secret"), "secret"), absl::InternalError("/store/secret is damaged"), FullError("/store/secret is full")}) {
    EXPECT_EQ(filtered(status).find("secret"), std::string::npos) << status;
  }
  EXPECT_NE(filtered(LockConflictError(Own("mine"), false)).find("mine"), std::string::npos);
  EXPECT_NE(filtered(ConditionFailedError(Own("mine"), "value")).find("value"), std::string::npos);
}

}  // namespace
}  // namespace insula::kv

// A tenant that tries everything, against a whole node with another tenant's data on it (simulated: one Node, one client host).
// Whatever it sends, no answer and no error names or holds anything of the other, and nothing of the other is changed or locked.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/runtime/random.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/txn.h"
#include "kv/client/database.h"
#include "kv/client/stream_channel.h"
#include "kv/keys/keys.h"
#include "kv/server/node.h"
#include "kv/storage/model_engine.h"
#include "proto/kv/api.pb.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kAddress[] = "n1:26257";
constexpr int kRows = 20;

PeerIdentity Certificate(std::string unit, std::string name, std::vector<std::string> uris = {}) {
  return {.common_name = std::move(name), .organizational_unit = std::move(unit), .uris = std::move(uris), .address = ""};
}
PeerIdentity TenantCertificate(TenantId id, uint64_t generation) {
  return Certificate("Tenants", StrCat(id), {StrCat("insula://tenant/", id, "/generation/", generation)});
}

// One transport made of two: what serves can go before the node, and what calls after it.
class TwoWayTransport : public Transport {
 public:
  TwoWayTransport(Transport* server, Transport* client) : server_(server), client_(client) {}
  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
    return client_->Open(ctx, std::move(address), std::move(method));
  }
  void Handle(std::string method, Handler handler) override { server_->Handle(std::move(method), std::move(handler)); }
  absl::StatusOr<int> Listen(const std::string& address) override { return server_->Listen(address); }
  Task<void> Shutdown(Duration grace) override { return server_->Shutdown(grace); }

 private:
  Transport* server_;
  Transport* client_;
};

struct NodeRoot {
  explicit NodeRoot(SimProcess& p)
      : client(p.MakeTransport(Certificate("Nodes", "node-1"))), server(p.MakeTransport(Certificate("Nodes", "node-1"))), transport(server.get(), client.get()) {}
  // The handlers use the node.
  ~NodeRoot() { server.reset(); }
  std::unique_ptr<Transport> client;
  std::unique_ptr<Transport> server;
  TwoWayTransport transport;
  std::unique_ptr<Node> node;
};

struct ClientRoot {
  explicit ClientRoot(SimProcess& p)
      : system_transport(p.MakeTransport(Certificate("Nodes", "node-9"))),
        system(MakeDatabase(p.context(), p.runtime(), system_transport.get(), {.sender = {.bootstrap = {kAddress}}, .coordinator = {}})) {}
  std::unique_ptr<Transport> system_transport;
  std::unique_ptr<ClientDatabase> system;  // with a node's identity: sees everything
  std::map<TenantId, std::vector<std::unique_ptr<Transport>>> transports;  // the present identity is the last
  std::map<TenantId, std::unique_ptr<ClientDatabase>> databases;
  std::unique_ptr<StreamChannel> channel;  // the attacker's
};

class WallTest : public testing::Test {
 protected:
  WallTest() : sim_(42), engine_random_(1) {
    node_ = sim_.AddProcess("n1");
    client_ = sim_.AddProcess("client");
  }
  ~WallTest() override {
    if (client_->alive()) client_->Crash();
    if (node_->alive()) node_->Crash();
  }

  void SetUp() override {
    auto engines = [this](const std::string&) { return storage::OpenModelEngine(&engine_random_, &disk_); };
    Must([&](Context ctx) -> Task<absl::Status> { co_return co_await InitNodeStore(ctx, node_->runtime(), engines, "/store", "walled", 1, 1); }, node_);
    node_->Boot([this, engines](SimProcess& p) -> std::shared_ptr<void> {
      auto root = std::make_shared<NodeRoot>(p);
      NodeOptions options{.store_path = "/store", .node_id = 1, .cluster_id = "walled", .peers = {{1, kAddress}}, .version = "test", .metrics = &registry_};
      root->node = std::make_unique<Node>(p.context(), p.runtime(), &root->transport, engines, std::move(options));
      EXPECT_TRUE(root->transport.Listen(kAddress).ok());
      p.Spawn([node = root->node.get()](Context ctx) -> Task<void> { EXPECT_TRUE((co_await node->Start(ctx)).ok()); });
      return root;
    });
    client_->Boot([](SimProcess& p) -> std::shared_ptr<void> { return std::make_shared<ClientRoot>(p); });
    for (TenantId* tenant : {&attacker_, &victim_}) Must([&](Context ctx) { return MakeTenant(ctx, tenant); });
    Must([&](Context ctx) { return Fill(ctx); });
  }

  void Must(std::function<Task<absl::Status>(Context)> fn, SimProcess* process = nullptr) {
    absl::Status status = sim_.Run(process == nullptr ? client_ : process, std::move(fn), 10min);
    ASSERT_TRUE(status.ok()) << status;
  }
  ClientRoot& root() { return *client_->root<ClientRoot>(); }
  Transport& Of(TenantId id) { return *root().transports.at(id).back(); }

  // An active tenant of generation 1, with a database of its own.
  Task<absl::Status> MakeTenant(Context ctx, TenantId* id) {
    pb::CreateTenantRequest create;
    create.set_name("acme");
    create.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
    CO_ASSIGN_OR_RETURN(auto created, (co_await CallUnary<pb::TenantResponse>(ctx, *root().system_transport, kAddress, "/insula.tenant.v1.TenantAdmin/Create", create)));
    *id = created.tenant().id();
    created.mutable_tenant()->set_state(pb::ACTIVE);
    created.mutable_tenant()->set_generation(1);
    CO_RETURN_IF_ERROR(co_await Update(ctx, created.tenant()));
    keyspaces_[*id] = created.tenant().keyspace_id();
    auto transport = client_->MakeTransport(TenantCertificate(*id, 1));
    root().databases[*id] = MakeDatabase(client_->context(), client_->runtime(), transport.get(), {.sender = {.bootstrap = {kAddress}}, .coordinator = {}});
    root().transports[*id].push_back(std::move(transport));
    co_return absl::OkStatus();
  }
  Task<absl::Status> Update(Context ctx, pb::TenantRecord record) {
    pb::UpdateTenantRequest update;
    update.set_expected_revision(record.revision());
    *update.mutable_record() = std::move(record);
    CO_ASSIGN_OR_RETURN(auto updated, (co_await CallUnary<pb::TenantResponse>(ctx, *root().system_transport, kAddress, "/insula.tenant.v1.Registry/Update", update)));
    records_[updated.tenant().id()] = updated.tenant();
    co_return absl::OkStatus();
  }

  std::string Key(TenantId tenant, int row) { return KeyspacePrefix(keyspaces_.at(tenant)) + StrCat("row-of-", tenant == victim_ ? "victim" : "attacker", "-", 100 + row); }
  Task<absl::Status> Fill(Context ctx) {
    for (auto& [tenant, database] : root().databases) {
      auto txn = database->Begin({});
      for (int i = 0; i < kRows; ++i) txn->Put(Key(tenant, i), StrCat("value-of-", tenant == victim_ ? "victim" : "attacker"));
      CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
    }
    co_return absl::OkStatus();
  }

  // The attacker sends `batch` as it is.
  Task<CallResult> Attack(const Context& ctx, const v1::BatchRequest& batch) {
    if (root().channel == nullptr) root().channel = std::make_unique<StreamChannel>(client_->context(), &Of(attacker_));
    return root().channel->Call(ctx, kAddress, batch);
  }
  // What a system batch gives, as bytes.
  Task<absl::StatusOr<v1::BatchResponse>> AsSystem(Context ctx, std::function<void(v1::Request*)> fill) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    fill(batch.add_requests());
    v1::BatchResponse response = co_await root().system->sender().Send(ctx, std::move(batch));
    if (response.has_error()) co_return absl::InternalError(response.error().message());
    co_return response;
  }
  // All that the attacker has no business with: the victim's rows and locks, the registry, the addresses.
  Task<absl::StatusOr<std::string>> Foreign(Context ctx) {
    std::string all;
    std::string own = KeyspacePrefix(keyspaces_.at(victim_));
    for (const auto& [start, end] : std::vector<std::pair<std::string, std::string>>{{own, PrefixEnd(own)},
                                                                                      {keys::SystemKey(keys::SystemTable::kTenant), PrefixEnd(keys::SystemKey(keys::SystemTable::kTenant))},
                                                                                      {keys::SystemKey(keys::SystemTable::kCounter), PrefixEnd(keys::SystemKey(keys::SystemTable::kCounter))}}) {
      CO_ASSIGN_OR_RETURN(auto rows, co_await AsSystem(ctx, [&](v1::Request* request) {
                            request->mutable_scan()->set_key(start);
                            request->mutable_scan()->set_end_key(end);
                          }));
      all += rows.responses(0).scan().rows();
      CO_ASSIGN_OR_RETURN(auto locks, co_await AsSystem(ctx, [&](v1::Request* request) {
                            request->mutable_query_locks()->set_key(start);
                            request->mutable_query_locks()->set_end_key(end);
                          }));
      for (const auto& lock : locks.responses(0).query_locks().locks()) StrAppend(&all, lock.key(), lock.holder().id());
    }
    co_return all;
  }

  metrics::Registry registry_;
  storage::ModelDisk disk_;
  Simulation sim_;
  SeededRandom engine_random_;
  SimProcess* node_;
  SimProcess* client_;
  TenantId attacker_ = 0, victim_ = 0;
  std::map<TenantId, uint64_t> keyspaces_;
  std::map<TenantId, pb::TenantRecord> records_;
};

// Random batches: a valid frame mostly, with something wrong or foreign in some place often.
class BatchMaker {
 public:
  BatchMaker(uint64_t seed, std::vector<std::string> own, std::vector<std::string> foreign, std::string victims_txn)
      : random_(seed), own_(std::move(own)), foreign_(std::move(foreign)), victims_txn_(std::move(victims_txn)) {}

  v1::BatchRequest Make() {
    v1::BatchRequest batch;
    wild_ = random_.Chance(0.5) ? 0 : 0.15;
    v1::BatchHeader* header = batch.mutable_header();
    if (random_.Chance(0.4)) {
      Fill(header->mutable_txn(), 2);
      if (header->txn().meta().id().size() != 16 || !random_.Chance(wild_)) header->mutable_txn()->mutable_meta()->set_id(random_.Bytes(16));
      header->mutable_txn()->clear_status();
      if (random_.Chance(0.9)) header->mutable_txn()->mutable_meta()->set_anchor_key(Key());
    }
    if (random_.Chance(wild_)) Fill(header, 2);
    header->set_version(random_.Chance(wild_ / 10) ? 2 : kBatchVersion);
    header->set_range_id(random_.Chance(0.7) ? last_range_ : random_.Uniform(70));
    header->set_timeout_us(1'000'000);
    header->set_wait_policy(v1::WAIT_ERROR);
    header->set_max_bytes(random_.Chance(wild_) ? random_.Next64() : 1 + random_.Uniform(1 << 20));
    header->set_tenant_id(random_.Chance(wild_) ? random_.Uniform(5) : 0);
    const auto* oneof = v1::Request::descriptor()->FindOneofByName("value");
    for (uint64_t n = 1 + random_.Uniform(3); n > 0; --n) {
      v1::Request* request = batch.add_requests();
      const FieldDescriptor* type = oneof->field(static_cast<int>(random_.Uniform(static_cast<uint64_t>(oneof->field_count()))));
      Fill(request->GetReflection()->MutableMessage(request, type), 3);
    }
    return batch;
  }
  void set_range(uint64_t range) { last_range_ = range; }

 private:
  std::string Key() {
    if (random_.Chance(wild_)) return random_.Chance(0.9) ? foreign_[random_.Uniform(foreign_.size())] : random_.Bytes(random_.Uniform(20));
    return own_[random_.Uniform(own_.size())];
  }
  uint64_t Number() {
    switch (random_.Uniform(6)) {
      case 0:
        return 0;
      case 1:
        return random_.Uniform(100);
      case 2:
        return random_.Next64();
      case 3:
        return ~uint64_t{0};
      default:
        return random_.Uniform(3);
    }
  }

  void FillOne(Message* message, const FieldDescriptor* field, int depth) {
    const auto* reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string text = random_.Bytes(random_.Uniform(8));
        if (field->name() == "id" || field->name() == "txn_id") text = random_.Chance(0.3) ? victims_txn_ : random_.Bytes(random_.Chance(0.9) ? 16 : random_.Uniform(40));
        if (field->name() == "key" || field->name() == "end_key" || field->name() == "anchor_key" || field->name() == "split_key") text = Key();
        if (field->name() == "end_key" && !random_.Chance(wild_)) text = own_.back();
        return reflection->SetString(message, field, text);
      }
      case FieldDescriptor::CPPTYPE_UINT64:
        // Timestamps: mostly none, since one of another time only makes a batch fail early.
        return reflection->SetUInt64(message, field, field->type() == FieldDescriptor::TYPE_FIXED64 && !random_.Chance(wild_) ? 0 : Number());
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection->SetUInt32(message, field, static_cast<uint32_t>(Number()));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection->SetInt64(message, field, static_cast<int64_t>(Number()));
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->SetInt32(message, field, static_cast<int32_t>(Number()));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->SetBool(message, field, random_.Chance(0.5));
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection->SetEnumValue(message, field, static_cast<int>(random_.Uniform(random_.Chance(wild_) ? 9 : 3)));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (depth > 0) Fill(reflection->MutableMessage(message, field), depth - 1);
        return;
      default:
        return;
    }
  }
  void Fill(Message* message, int depth) {
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message->GetDescriptor()->field(i);
      const bool is_key = field->name() == "key" || field->name() == "end_key" || field->name() == "txn_id";
      if (field->is_repeated()) {
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || depth == 0) continue;
        for (uint64_t n = random_.Uniform(3); n > 0; --n) Fill(message->GetReflection()->AddMessage(message, field), depth - 1);
      } else if (is_key ? !random_.Chance(wild_ / 3) : random_.Chance(0.4)) {
        FillOne(message, field, depth);
      }
    }
    if (random_.Chance(wild_ / 20)) message->GetReflection()->MutableUnknownFields(message)->AddVarint(700, 1);
  }

  SeededRandom random_;
  std::vector<std::string> own_, foreign_;
  std::string victims_txn_;
  double wild_ = 0;
  uint64_t last_range_ = 1;
};

// Refused with an error that names no kind, as yet: two versions of one key at one timestamp.
bool WritesAKeyTwiceWithoutTxn(const v1::BatchRequest& batch) {
  std::set<std::string_view> written;
  for (const v1::Request& request : batch.requests()) {
    if ((FlagsOf(request) & kWrites) && !written.insert(SpanOf(request, batch.header()).key).second) return !batch.header().has_txn();
  }
  return false;
}

TEST_F(WallTest, ATenantFindsItsRangesWhereverTheirAddressesAre) {
  std::vector<std::string> splits;
  for (int i = 0; i < kRows; ++i) splits.push_back(Key(attacker_, i));
  // Where one meta range ends the victim's keys are, and at others the tenant's own.
  for (const std::string& key : {keys::Meta2Start(), keys::Meta2Key(Key(victim_, 5)), keys::Meta2Key(Key(attacker_, 3)), keys::LookupStart(Key(attacker_, 11))}) splits.push_back(key);
  Must([&](Context ctx) -> Task<absl::Status> {
    for (const std::string& key : splits) CO_RETURN_IF_ERROR((co_await AsSystem(ctx, [&](v1::Request* request) { request->mutable_admin_split()->set_split_key(key); })).status());
    auto fresh = MakeDatabase(client_->context(), client_->runtime(), &Of(attacker_), {.sender = {.bootstrap = {kAddress}}, .coordinator = {}});
    for (ClientDatabase* database : {fresh.get(), root().databases.at(attacker_).get()}) {
      for (int i = 0; i < kRows; ++i) {
        database->sender().cache().Evict(Key(attacker_, i));
        CO_ASSIGN_OR_RETURN(auto range, co_await database->sender().Locate(ctx, Key(attacker_, i) + "x"));
        EXPECT_EQ(range.start_key(), Key(attacker_, i));
        auto txn = database->Begin({});
        CO_ASSIGN_OR_RETURN(auto value, co_await txn->Get(ctx, Key(attacker_, i)));
        EXPECT_EQ(value, "value-of-attacker");
      }
      const v1::RangeDescriptor* meta = database->sender().cache().Find(keys::Meta2Key(Key(attacker_, 5)));
      EXPECT_EQ(meta, nullptr) << "it has heard of a meta range: " << meta->ShortDebugString();
    }
    // What it is told by whatever it asks: nothing of where meta ranges begin and end.
    CO_ASSIGN_OR_RETURN(auto where, co_await root().system->sender().Locate(ctx, keys::Meta2Key(Key(attacker_, 5))));
    for (uint64_t range : {uint64_t{keys::kMetaRange}, where.range_id(), uint64_t{999}}) {
      for (uint64_t generation : {uint64_t{0}, uint64_t{1}}) {
        for (int i : {2, 3, 11, 19}) {
          v1::BatchRequest batch = NewBatch();
          batch.mutable_header()->set_range_id(range);
          batch.mutable_header()->set_range_generation(generation);
          batch.add_requests()->mutable_range_lookup()->set_key(Key(attacker_, i));
          batch.mutable_requests(0)->mutable_range_lookup()->set_prefetch(100);
          CallResult result = co_await Attack(ctx, batch);
          CO_RETURN_IF_ERROR(result.status);
          EXPECT_FALSE(result.response.has_error()) << result.response.ShortDebugString();
          const v1::RangeLookupResponse& found = result.response.responses(0).range_lookup();
          EXPECT_LE(found.ranges_size(), kRows - i) << "the last one ends where the keyspace does";
          EXPECT_GT(found.ranges_size(), 0);
          if (found.ranges_size() > 0) EXPECT_EQ(found.ranges(0).start_key(), Key(attacker_, i));
          EXPECT_EQ(result.response.SerializeAsString().find("victim"), std::string::npos) << result.response.ShortDebugString();
          batch.mutable_requests(0)->mutable_get()->set_key(Key(attacker_, i));
          result = co_await Attack(ctx, batch);
          CO_RETURN_IF_ERROR(result.status);
          EXPECT_TRUE(result.response.error().has_range_mismatch()) << result.response.ShortDebugString();
          EXPECT_EQ(result.response.SerializeAsString().find("victim"), std::string::npos) << result.response.ShortDebugString();
        }
      }
    }
    co_return absl::OkStatus();
  });
}

TEST_F(WallTest, WhateverATenantSendsItReachesNothingOfAnother) {
  Must([&](Context ctx) -> Task<absl::Status> {
    // Where the meta range is cut are the victim's keys, too.
    co_return (co_await AsSystem(ctx, [&](v1::Request* request) { request->mutable_admin_split()->set_split_key(keys::Meta2Key(Key(victim_, 5))); })).status();
  });
  // The victim is in the middle of something: a row written, not committed, and one locked.
  auto open = root().databases.at(victim_)->Begin({});
  std::string before, victims_txn;
  uint64_t own_range = 0;
  Must([&](Context ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR((co_await open->Get(ctx, Key(victim_, 3), {.lock = LockStrength::kExclusive})).status());
    open->Put(Key(victim_, 3), "value-of-victim, changed");
    CO_ASSIGN_OR_RETURN(auto locks, co_await AsSystem(ctx, [&](v1::Request* request) {
                          request->mutable_query_locks()->set_key(KeyspacePrefix(keyspaces_.at(victim_)));
                          request->mutable_query_locks()->set_end_key(PrefixEnd(KeyspacePrefix(keyspaces_.at(victim_))));
                        }));
    if (locks.responses(0).query_locks().locks_size() != 1) co_return absl::InternalError("the victim holds no lock");
    victims_txn = locks.responses(0).query_locks().locks(0).holder().id();
    CO_ASSIGN_OR_RETURN(before, co_await Foreign(ctx));
    CO_ASSIGN_OR_RETURN(auto range, co_await root().databases.at(attacker_)->sender().Locate(ctx, Key(attacker_, 0)));
    own_range = range.range_id();
    co_return absl::OkStatus();
  });

  std::vector<std::string> own, foreign = {"", "\xff", keys::SystemKey(keys::SystemTable::kTenant, victim_), keys::Meta2Key(KeyspacePrefix(keyspaces_.at(victim_))),
                                           keys::RangeIdCounter(), KeyspacePrefix(keyspaces_.at(victim_)), PrefixEnd(KeyspacePrefix(keyspaces_.at(victim_))), "\x04", "\xfe"};
  for (int i = 0; i < kRows; ++i) {
    own.push_back(Key(attacker_, i));
    foreign.push_back(Key(victim_, i));
  }
  own.push_back(PrefixEnd(KeyspacePrefix(keyspaces_.at(attacker_))));
  BatchMaker maker(7, own, foreign, victims_txn);
  maker.set_range(own_range);
  // (Where the own keyspace ends, the other may begin: the bare prefix tells nothing.)
  const std::vector<std::string> secrets = {"victim", KeyspacePrefix(keyspaces_.at(victim_)) + "r", keys::SystemKey(keys::SystemTable::kTenant), victims_txn, "acme", "SCRAM"};
  std::map<int, int> errors;
  int answered = 0;
  std::vector<std::string> inside;  // batches that something went wrong inside with
  Must([&](Context ctx) -> Task<absl::Status> {
    for (int i = 0; i < 6000; ++i) {
      v1::BatchRequest batch = maker.Make();
      CallResult result = co_await Attack(ctx, batch);
      if (!result.status.ok()) co_return result.status;
      result.response.has_error() ? ++errors[result.response.error().detail_case()] : ++answered;
      const bool odd = result.response.has_error() && result.response.error().detail_case() == v1::Error::DETAIL_NOT_SET;
      if (odd && !WritesAKeyTwiceWithoutTxn(batch)) inside.push_back(batch.ShortDebugString());
      // The id that was asked for, told back, tells nothing.
      for (v1::Response& one : *result.response.mutable_responses()) {
        if (one.has_recover_txn()) one.mutable_recover_txn()->mutable_txn()->mutable_meta()->clear_id();
        // Nor does one under which the attacker itself took a lock of its own keyspace.
        for (int n = 0; one.has_query_locks() && n < one.query_locks().locks_size(); ++n) {
          auto& lock = *one.mutable_query_locks()->mutable_locks(n);
          if (lock.key().starts_with(KeyspacePrefix(keyspaces_.at(attacker_)))) lock.mutable_holder()->clear_id();
        }
      }
      std::string bytes = result.response.SerializeAsString();
      for (const std::string& secret : secrets) {
        if (bytes.find(secret) == std::string::npos) continue;
        co_return absl::InternalError(StrCat("round ", i, ": the answer to ", batch.ShortDebugString(), " tells: ", result.response.ShortDebugString()));
      }
    }
    co_return absl::OkStatus();
  });
  // The test is one: much got through, much did not.
  EXPECT_GT(answered, 300);
  EXPECT_GT(errors[v1::Error::kUnauthorized], 1000);
  EXPECT_GT(errors[v1::Error::kInvalid], 300);
  EXPECT_EQ(inside, std::vector<std::string>()) << "nothing may go wrong inside";

  Must([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(std::string after, co_await Foreign(ctx));
    EXPECT_TRUE(after == before) << "something of the victim's changed";
    // Nobody is in the victim's way, and its lock held.
    CO_RETURN_IF_ERROR(co_await open->Commit(ctx));
    auto txn = root().databases.at(victim_)->Begin({});
    for (int i = 0; i < kRows; ++i) {
      CO_ASSIGN_OR_RETURN(auto value, co_await txn->Get(ctx, Key(victim_, i), {.lock = LockStrength::kExclusive, .wait = WaitPolicy::kError}));
      EXPECT_EQ(value, i == 3 ? "value-of-victim, changed" : "value-of-victim");
    }
    co_return co_await txn->Commit(ctx);
  });
}

TEST_F(WallTest, SuspendedTenantsAreRefusedAtOnceAndOldGenerationsAfterAResume) {
  auto code = [&](TenantId tenant) {
    v1::Error::DetailCase detail = v1::Error::DETAIL_NOT_SET;
    Must([&, tenant](Context ctx) -> Task<absl::Status> {
      StreamChannel channel(client_->context(), &Of(tenant));
      CO_ASSIGN_OR_RETURN(auto range, co_await root().system->sender().Locate(ctx, Key(tenant, 0)));
      v1::BatchRequest batch;
      batch.mutable_header()->set_version(kBatchVersion);
      batch.mutable_header()->set_range_id(range.range_id());
      batch.add_requests()->mutable_get()->set_key(Key(tenant, 0));
      CallResult result = co_await channel.Call(ctx, kAddress, batch);
      detail = result.response.error().detail_case();
      co_return result.status;
    });
    return detail;
  };
  EXPECT_EQ(code(attacker_), v1::Error::DETAIL_NOT_SET);
  auto change = [&](pb::TenantState state, uint64_t generation) {
    Must([&](Context ctx) {
      pb::TenantRecord record = records_.at(attacker_);
      record.set_state(state);
      record.set_generation(generation);
      return Update(ctx, std::move(record));
    });
  };
  // The node hears of a change a message later than who made it.
  auto becomes = [&](TenantId tenant, v1::Error::DetailCase expected) {
    for (int tries = 0; tries < 50 && code(tenant) != expected; ++tries) sim_.RunFor(1ms);
    return code(tenant) == expected;
  };
  change(pb::SUSPENDED, 1);
  EXPECT_TRUE(becomes(attacker_, v1::Error::kStaleGeneration));
  EXPECT_EQ(code(victim_), v1::Error::DETAIL_NOT_SET);
  change(pb::ACTIVE, 2);
  EXPECT_EQ(code(attacker_), v1::Error::kStaleGeneration) << "a pod of the generation before";
  root().transports[attacker_].push_back(client_->MakeTransport(TenantCertificate(attacker_, 2)));
  EXPECT_EQ(code(attacker_), v1::Error::DETAIL_NOT_SET);
  change(pb::DROPPING, 2);
  EXPECT_TRUE(becomes(attacker_, v1::Error::kUnauthorized));
}

}  // namespace
}  // namespace insula::kv

// The wall through the real front: a node behind gRPC over mutual TLS, with real certificates, on loopback.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/encoding/ordered.h"
#include "base/log/log.h"
#include "base/metrics/metrics.h"
#include "base/real/real_world.h"
#include "base/runtime/random.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"
#include "kv/api/request.h"
#include "kv/client/database.h"
#include "kv/keys/keys.h"
#include "kv/server/node.h"
#include "kv/storage/model_engine.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/raft.pb.h"
#include "proto/kv/status.pb.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

class FrontTest : public testing::Test {
 protected:
  std::unique_ptr<Transport> Make(const CertificateAndKey& own) { return MakeWith(ca_.certificate_pem + tenant_ca_.certificate_pem, own); }
  std::unique_ptr<Transport> MakeWith(const std::string& trusted, const CertificateAndKey& own) {
    auto identity = TlsIdentity::FromPem(trusted, own.certificate_pem, own.key_pem);
    EXPECT_TRUE(identity.ok()) << identity.status();
    return MakeGrpcTransport(world_.executor(), *identity);
  }
  CertificateAndKey TenantKey(TenantId id, uint64_t generation) { return *IssueTenantCertificate(tenant_ca_, id, generation, 1h); }

  // A port that is free now.
  absl::StatusOr<std::string> FreeAddress() {
    auto probe = Make(*IssueNodeCertificate(ca_, 1, {"127.0.0.1"}));
    ASSIGN_OR_RETURN(int port, probe->Listen("127.0.0.1:0"));
    return StrCat("127.0.0.1:", port);
  }

  // Runs `body` against a node with two tenants (2 and 3, generation 1 each).
  void Run(std::function<Task<absl::Status>(Context)> body) {
    std::string folder = StrCat(testing::TempDir(), "/front_XXXXXX");
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    log::ScopedSink sink(log::Level::kWarning, [this](log::Level, std::string_view line) { lines_.emplace_back(line); });
    absl::Status status = world_.executor()->RunMain([&](Context outer) -> Task<absl::Status> {
      Context ctx = outer.WithTimeout(100s);
      CO_ASSIGN_OR_RETURN(address_, FreeAddress());
      auto engines = [this](const std::string&) { return storage::OpenModelEngine(&engine_random_, &disk_); };
      CO_RETURN_IF_ERROR(co_await InitNodeStore(ctx, world_.runtime(), engines, folder, "front", 1, 1));
      auto transport = Make(*IssueNodeCertificate(ca_, 1, {"127.0.0.1"}));
      NodeOptions options{.store_path = folder, .node_id = 1, .cluster_id = "front", .peers = {{1, address_}}, .version = "test", .metrics = &registry_};
      Node node(ctx, world_.runtime(), transport.get(), engines, std::move(options));
      CO_RETURN_IF_ERROR(transport->Listen(address_).status());
      CO_RETURN_IF_ERROR(co_await node.Start(ctx));
      operator_ = Make(*IssueOperatorCertificate(ca_, {"127.0.0.1"}));
      admin_ = Make(*IssueClientCertificate(ca_, "root"));
      absl::Status ran = co_await MakeTenants(ctx);
      if (ran.ok()) ran = co_await body(ctx);
      operator_.reset();
      admin_.reset();
      absl::Status stopped = co_await node.Stop(ctx);
      co_await transport->Shutdown(Duration::zero());
      co_return ran.ok() ? stopped : ran;
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  Task<absl::Status> MakeTenants(Context ctx) {
    for (const char* name : {"acme", "other"}) {
      pb::CreateTenantRequest create;
      create.set_name(name);
      create.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
      CO_ASSIGN_OR_RETURN(auto created, (co_await CallUnary<pb::TenantResponse>(ctx, *admin_, address_, "/insula.tenant.v1.TenantAdmin/Create", create)));
      created.mutable_tenant()->set_state(pb::ACTIVE);
      created.mutable_tenant()->set_generation(1);
      CO_RETURN_IF_ERROR(co_await Update(ctx, created.tenant()));
    }
    co_return absl::OkStatus();
  }
  Task<absl::Status> Update(Context ctx, pb::TenantRecord record) {
    pb::UpdateTenantRequest update;
    update.set_expected_revision(record.revision());
    *update.mutable_record() = std::move(record);
    CO_ASSIGN_OR_RETURN(auto updated, (co_await CallUnary<pb::TenantResponse>(ctx, *operator_, address_, "/insula.tenant.v1.Registry/Update", update)));
    records_[updated.tenant().id()] = updated.tenant();
    co_return absl::OkStatus();
  }
  std::string Prefix(TenantId tenant) { return KeyspacePrefix(records_.at(tenant).keyspace_id()); }

  // One batch with one request, over a stream of its own. Range 0: the one that holds the caller's keyspace is looked for.
  Task<absl::StatusOr<v1::BatchResponse>> Send(const Context& ctx, Transport& transport, v1::BatchRequest batch) {
    v1::StreamRequest message;
    message.add_calls()->set_id(1);
    batch.mutable_header()->set_version(kBatchVersion);
    *message.mutable_calls(0)->mutable_batch() = std::move(batch);
    co_return co_await SendBytes(ctx, transport, message.SerializeAsString());
  }
  Task<absl::StatusOr<v1::BatchResponse>> SendBytes(const Context& ctx, Transport& transport, std::string bytes) {
    CO_ASSIGN_OR_RETURN(auto stream, co_await transport.Open(ctx, address_, "/insula.kv.v1.Kv/Batch"));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::move(bytes)));
    CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
    if (!reply) co_return absl::InternalError("no answer");
    v1::StreamResponse response;
    if (!response.ParseFromString(*reply) || response.replies_size() != 1) co_return absl::InternalError("not one answer");
    co_return response.replies(0).batch();
  }
  // How a stream for `method` ends when something is sent to it.
  Task<absl::StatusCode> Probe(const Context& ctx, Transport& transport, std::string method) {
    auto stream = co_await transport.Open(ctx, address_, std::move(method));
    if (!stream.ok()) co_return stream.status().code();
    (void)co_await (*stream)->Send(ctx, "");
    (void)co_await (*stream)->CloseSend(ctx);
    while (true) {
      auto reply = co_await (*stream)->Receive(ctx);
      if (!reply.ok()) co_return reply.status().code();
      if (!*reply) co_return absl::StatusCode::kOk;
    }
  }
  bool Logged(std::string_view a, std::string_view b) const {
    for (const std::string& line : lines_) {
      if (line.find(a) != std::string::npos && line.find(b) != std::string::npos) return true;
    }
    return false;
  }
  double Denied(const char* reason) {
    std::string text = registry_.Render(), series = StrCat("insula_kv_denied_total{reason=\"", reason, "\"} ");
    size_t at = text.find(series);
    return at == std::string::npos ? 0 : std::atof(text.c_str() + at + series.size());
  }

  RealWorld world_;
  CertificateAndKey ca_ = *CreateCa("cluster CA");
  CertificateAndKey tenant_ca_ = *CreateCa("tenant CA");
  metrics::Registry registry_;
  storage::ModelDisk disk_;
  SeededRandom engine_random_{1};
  std::string address_;
  std::unique_ptr<Transport> operator_, admin_;
  std::map<TenantId, pb::TenantRecord> records_;
  std::vector<std::string> lines_;
};

constexpr TenantId kAcme = 2, kOther = 3;

TEST_F(FrontTest, ATenantReachesItsOwnKeysAndNothingElse) {
  Run([&](Context ctx) -> Task<absl::Status> {
    auto acme = Make(TenantKey(kAcme, 1));
    auto other = Make(TenantKey(kOther, 1));
    auto own = MakeDatabase(ctx, world_.runtime(), acme.get(), {.sender = {.bootstrap = {address_}}, .coordinator = {}});
    auto others = MakeDatabase(ctx, world_.runtime(), other.get(), {.sender = {.bootstrap = {address_}}, .coordinator = {}});
    for (auto& [database, tenant] : std::vector<std::pair<ClientDatabase*, TenantId>>{{own.get(), kAcme}, {others.get(), kOther}}) {
      auto txn = database->Begin({});
      txn->Put(Prefix(tenant) + "row", "value");
      CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
      auto read = database->Begin({});
      CO_ASSIGN_OR_RETURN(auto value, co_await read->Get(ctx, Prefix(tenant) + "row"));
      EXPECT_EQ(value, "value");
    }

    CO_ASSIGN_OR_RETURN(auto range, co_await others->sender().Locate(ctx, Prefix(kOther)));
    CO_ASSIGN_OR_RETURN(auto own_range, co_await own->sender().Locate(ctx, Prefix(kAcme)));
    // The first ones are logged; then there are too many.
    const std::vector<std::pair<std::string, uint64_t>> targets = {{Prefix(kOther) + "row", range.range_id()},
                                                     {keys::SystemKey(keys::SystemTable::kTenant, kAcme), keys::kSystemRange},
                                                     {keys::SystemKey(keys::SystemTable::kTenant, kOther), keys::kSystemRange},
                                                     {keys::Meta2Key(Prefix(kOther)), keys::kMetaRange},
                                                     {keys::Meta1Key(Prefix(kOther)), keys::kMetaRange}};
    for (auto& [key, where] : targets) {
      std::vector<v1::BatchRequest> batches(7);
      batches[0].add_requests()->mutable_get()->set_key(key);
      batches[1].add_requests()->mutable_put()->set_key(key);
      batches[2].add_requests()->mutable_scan()->set_key(key);
      batches[2].mutable_requests(0)->mutable_scan()->set_end_key(PrefixEnd(key));
      batches[3].add_requests()->mutable_admin_split()->set_split_key(key);
      batches[4].add_requests()->mutable_query_locks()->set_key(key);
      batches[4].mutable_requests(0)->mutable_query_locks()->set_end_key(PrefixEnd(key));
      batches[5].add_requests()->mutable_range_lookup()->set_key(key);
      // A good request in front does not help.
      batches[6].add_requests()->mutable_get()->set_key(Prefix(kAcme) + "row");
      batches[6].add_requests()->mutable_delete_()->set_key(key);
      for (auto& batch : batches) {
        batch.mutable_header()->set_range_id(where);
        CO_ASSIGN_OR_RETURN(auto response, co_await Send(ctx, *acme, batch));
        EXPECT_TRUE(response.error().has_unauthorized()) << batch.ShortDebugString() << response.ShortDebugString();
        EXPECT_EQ(response.error().request_index(), batch.requests_size() - 1);
      }
    }
    // Admin requests are not for tenants, not even on their own span; neither is work between nodes.
    v1::BatchRequest batch;
    batch.mutable_header()->set_range_id(own_range.range_id());
    batch.add_requests()->mutable_admin_split()->set_split_key(Prefix(kAcme) + "row");
    CO_ASSIGN_OR_RETURN(auto split, co_await Send(ctx, *acme, batch));
    EXPECT_TRUE(split.error().has_unauthorized());
    batch.mutable_requests(0)->mutable_resolve_intent()->set_key(Prefix(kAcme) + "row");
    CO_ASSIGN_OR_RETURN(auto resolve, co_await Send(ctx, *acme, batch));
    EXPECT_TRUE(resolve.error().has_unauthorized());
    // Lookups see the own ranges only.
    batch.mutable_header()->set_range_id(keys::kMetaRange);
    batch.mutable_requests(0)->mutable_range_lookup()->set_key(Prefix(kAcme));
    batch.mutable_requests(0)->mutable_range_lookup()->set_prefetch(50);
    CO_ASSIGN_OR_RETURN(auto lookup, co_await Send(ctx, *acme, batch));
    EXPECT_EQ(lookup.responses(0).range_lookup().ranges_size(), 1) << lookup.ShortDebugString();
    co_return absl::OkStatus();
  });
  EXPECT_EQ(Denied("key"), 5 * 7 + 2);
  EXPECT_TRUE(Logged("caller=\"tenant 2 generation 1\"", StrCat("target=\"keyspace ", records_.at(kOther).keyspace_id(), "\"")));
  EXPECT_TRUE(Logged("caller=\"tenant 2 generation 1\"", "target=\"the system range\""));
}

TEST_F(FrontTest, TenantsMayCallNothingButBatch) {
  Run([&](Context ctx) -> Task<absl::Status> {
    auto acme = Make(TenantKey(kAcme, 1));
    for (const char* method : {"/insula.kv.v1.Stores/Messages", "/insula.kv.v1.Stores/Snapshot", "/insula.kv.v1.Node/Status", "/insula.tenant.v1.TenantAdmin/Create",
                               "/insula.tenant.v1.TenantAdmin/Get", "/insula.tenant.v1.TenantAdmin/List", "/insula.tenant.v1.Registry/Watch",
                               "/insula.tenant.v1.Registry/Update", "/insula.tenant.v1.Registry/Purge", "/insula.tenant.v1.TenantAdmin/SetPlan", "/insula.tenant.v1.Lending/Borrow"}) {
      EXPECT_EQ(co_await Probe(ctx, *acme, method), absl::StatusCode::kPermissionDenied) << method;
    }
    EXPECT_EQ(co_await Probe(ctx, *acme, "/insula.ops.v1.Directory/ListPods"), absl::StatusCode::kUnimplemented) << "not this process's";
    co_return absl::OkStatus();
  });
  EXPECT_EQ(Denied("method"), 11);
  EXPECT_TRUE(Logged("caller=\"tenant 2 generation 1\"", "target=/insula.tenant.v1.Registry/Purge"));
}

TEST_F(FrontTest, OthersMayCallWhatTheTableSays) {
  Run([&](Context ctx) -> Task<absl::Status> {
    auto proxy = Make(*IssueProxyCertificate(ca_, {"127.0.0.1"}));
    auto pool = Make(*IssuePoolCertificate(ca_, {"127.0.0.1"}));
    for (const char* method : {"/insula.kv.v1.Kv/Batch", "/insula.kv.v1.Stores/Messages", "/insula.kv.v1.Node/Status", "/insula.tenant.v1.Registry/Watch", "/insula.tenant.v1.TenantAdmin/List"}) {
      EXPECT_EQ(co_await Probe(ctx, *proxy, method), absl::StatusCode::kPermissionDenied) << method;
      EXPECT_EQ(co_await Probe(ctx, *pool, method), absl::StatusCode::kPermissionDenied) << method;
    }
    EXPECT_EQ(co_await Probe(ctx, *admin_, "/insula.kv.v1.Kv/Batch"), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(co_await Probe(ctx, *admin_, "/insula.tenant.v1.Registry/Purge"), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(co_await Probe(ctx, *admin_, "/insula.tenant.v1.TenantAdmin/List"), absl::StatusCode::kOk);
    EXPECT_EQ(co_await Probe(ctx, *admin_, "/insula.kv.v1.Node/Status"), absl::StatusCode::kOk);
    EXPECT_EQ(co_await Probe(ctx, *operator_, "/insula.tenant.v1.TenantAdmin/List"), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(co_await Probe(ctx, *operator_, "/insula.kv.v1.Stores/Messages"), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(co_await Probe(ctx, *operator_, "/insula.kv.v1.Node/Status"), absl::StatusCode::kOk);
    // A node's certificate does not make it another node's store.
    auto node = Make(*IssueNodeCertificate(ca_, 5, {"127.0.0.1"}));
    CO_ASSIGN_OR_RETURN(auto stream, co_await node->Open(ctx, address_, "/insula.kv.v1.Stores/Messages"));
    v1::StoreMessages messages;
    messages.set_version(1);
    messages.set_from_store(1);
    messages.set_to_store(1);
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, messages.SerializeAsString()));
    EXPECT_EQ((co_await stream->Receive(ctx)).status().code(), absl::StatusCode::kPermissionDenied);
    co_return absl::OkStatus();
  });
}

TEST_F(FrontTest, OnlyThePresentGenerationIsServed) {
  Run([&](Context ctx) -> Task<absl::Status> {
    auto old = Make(TenantKey(kAcme, 1));
    auto own = MakeDatabase(ctx, world_.runtime(), old.get(), {.sender = {.bootstrap = {address_}}, .coordinator = {}});
    CO_ASSIGN_OR_RETURN(auto range, co_await own->sender().Locate(ctx, Prefix(kAcme)));
    v1::BatchRequest batch;
    batch.mutable_header()->set_range_id(range.range_id());
    batch.add_requests()->mutable_get()->set_key(Prefix(kAcme) + "row");
    CO_ASSIGN_OR_RETURN(auto served, co_await Send(ctx, *old, batch));
    EXPECT_FALSE(served.has_error()) << served.ShortDebugString();
    pb::TenantRecord record = records_.at(kAcme);
    record.set_generation(2);
    CO_RETURN_IF_ERROR(co_await Update(ctx, record));
    CO_ASSIGN_OR_RETURN(auto refused, co_await Send(ctx, *old, batch));
    EXPECT_TRUE(refused.error().has_stale_generation()) << refused.ShortDebugString();
    auto fresh = Make(TenantKey(kAcme, 2));
    CO_ASSIGN_OR_RETURN(auto again, co_await Send(ctx, *fresh, batch));
    EXPECT_FALSE(again.has_error()) << again.ShortDebugString();
    auto ahead = Make(TenantKey(kAcme, 9));
    CO_ASSIGN_OR_RETURN(auto unknown, co_await Send(ctx, *ahead, batch));
    EXPECT_TRUE(unknown.error().has_stale_generation());
    auto nobody = Make(TenantKey(77, 1));
    CO_ASSIGN_OR_RETURN(auto no_tenant, co_await Send(ctx, *nobody, batch));
    EXPECT_TRUE(no_tenant.error().has_unauthorized());
    co_return absl::OkStatus();
  });
  EXPECT_GE(Denied("generation"), 2);
  EXPECT_GE(Denied("tenant"), 1);
}

TEST_F(FrontTest, WhoHasNoCertificateOfOursDoesNotGetIn) {
  Run([&](Context ctx) -> Task<absl::Status> {
    CertificateAndKey foreign_ca = *CreateCa("tenant CA");
    const std::string trusted = ca_.certificate_pem + tenant_ca_.certificate_pem;
    // The right names, signed by somebody else.
    auto forged_tenant = MakeWith(trusted, *IssueTenantCertificate(foreign_ca, kAcme, 1, 1h));
    auto forged_node = MakeWith(trusted, *IssueNodeCertificate(foreign_ca, 1, {"127.0.0.1"}));
    auto naked = MakeGrpcTransport(world_.executor(), *TlsIdentity::FromPem(trusted, "", ""));
    auto expired = MakeWith(trusted, *IssueTenantCertificate(tenant_ca_, kAcme, 1, -60s));
    for (auto* transport : {forged_tenant.get(), forged_node.get(), naked.get(), expired.get()}) {
      for (const char* method : {"/insula.kv.v1.Kv/Batch", "/insula.kv.v1.Stores/Messages", "/insula.tenant.v1.TenantAdmin/List", "/grpc.health.v1.Health/Check"}) {
        EXPECT_EQ(co_await Probe(ctx, *transport, method), absl::StatusCode::kUnavailable) << method;
      }
    }
    co_return absl::OkStatus();
  });
}

TEST_F(FrontTest, MalformedBatchesGetPreciseErrorsAndTheNodeGoesOn) {
  Run([&](Context ctx) -> Task<absl::Status> {
    auto acme = Make(TenantKey(kAcme, 1));
    auto own = MakeDatabase(ctx, world_.runtime(), acme.get(), {.sender = {.bootstrap = {address_}}, .coordinator = {}});
    CO_ASSIGN_OR_RETURN(auto range, co_await own->sender().Locate(ctx, Prefix(kAcme)));
    const std::string a = Prefix(kAcme) + "a", b = Prefix(kAcme) + "b";
    std::map<std::string, std::function<void(v1::BatchRequest*)>> cases = {
        {"inverted", [&](auto* batch) { batch->add_requests()->mutable_scan()->set_key(b); batch->mutable_requests(0)->mutable_scan()->set_end_key(a); }},
        {"a span is empty", [&](auto* batch) { batch->add_requests()->mutable_scan()->set_key(a); batch->mutable_requests(0)->mutable_scan()->set_end_key(a); }},
        {"no end", [&](auto* batch) { batch->add_requests()->mutable_scan()->set_key(a); }},
        {"longer than", [&](auto* batch) { batch->add_requests()->mutable_get()->set_key(a + std::string(kMaxKeyBytes, 'x')); }},
        {"larger than", [&](auto* batch) { batch->add_requests()->mutable_put()->set_key(a); batch->mutable_requests(0)->mutable_put()->set_value(std::string(50 << 20, 'x')); }},
        {"too many", [&](auto* batch) { for (size_t i = 0; i <= kMaxRequestsPerBatch; ++i) batch->add_requests()->mutable_get()->set_key(a); }},
        {"no requests", [&](auto*) {}},
        {"no kind", [&](auto* batch) { batch->add_requests(); }},
        {"does not know", [&](auto* batch) {
           auto* get = batch->add_requests()->mutable_get();
           get->set_key(a);
           get->GetReflection()->MutableUnknownFields(get)->AddVarint(99, 1);
         }},
        {"in the future", [&](auto* batch) { batch->mutable_header()->set_timestamp(Timestamp::Max().bits); batch->add_requests()->mutable_get()->set_key(a); }},
        {"without a transaction", [&](auto* batch) { batch->add_requests()->mutable_end_txn()->set_key(a); }},
        {"16 bytes", [&](auto* batch) { batch->mutable_header()->mutable_txn()->mutable_meta()->set_id("short"); batch->add_requests()->mutable_get()->set_key(a); }},
    };
    for (auto& [words, make] : cases) {
      v1::BatchRequest batch;
      make(&batch);
      batch.mutable_header()->set_range_id(range.range_id());
      CO_ASSIGN_OR_RETURN(auto response, co_await Send(ctx, *acme, std::move(batch)));
      EXPECT_TRUE(response.error().has_invalid()) << words << ": " << response.error().ShortDebugString();
      EXPECT_NE(response.error().message().find(words), std::string::npos) << words << ": " << response.error().message();
    }
    // Stale addressing is set right, with the own ranges only.
    v1::BatchRequest stale;
    stale.mutable_header()->set_range_id(keys::kSystemRange);
    stale.mutable_header()->set_range_generation(1);
    stale.add_requests()->mutable_get()->set_key(a);
    CO_ASSIGN_OR_RETURN(auto mismatch, co_await Send(ctx, *acme, stale));
    CO_RETURN_IF_ERROR(mismatch.error().has_range_mismatch() ? absl::OkStatus() : absl::InternalError(mismatch.ShortDebugString()));
    EXPECT_EQ(mismatch.error().range_mismatch().current_size(), 1);
    EXPECT_EQ(mismatch.error().range_mismatch().current(0).range_id(), range.range_id());
    EXPECT_EQ(mismatch.updated_ranges_size(), 0);
    // Bytes that are no message end the stream, not the node.
    EXPECT_EQ((co_await SendBytes(ctx, *acme, "\xff\xff\xff")).status().code(), absl::StatusCode::kInvalidArgument);
    auto txn = own->Begin({});
    txn->Put(a, "still here");
    co_return co_await txn->Commit(ctx);
  });
}

}  // namespace
}  // namespace insula::kv

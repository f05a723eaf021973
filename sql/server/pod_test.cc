// A pod in the real world: certificates, TLS, HTTPS, gRPC, SCRAM; over a database in memory.
#include "sql/server/pod.h"

#include <google/protobuf/util/json_util.h>

#include <memory>
#include <optional>
#include <string>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/http/http.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/client.h"
#include "base/pgwire/scram.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"
#include "gtest/gtest.h"
#include "kv/api/testing/memory_database.h"
#include "proto/operator/pod.pb.h"

namespace insula::sql {
namespace {

constexpr char kControl[] = "/insula.ops.v1.PodControl/";

class MemoryTenant : public TenantDatabase {
 public:
  explicit MemoryTenant(kv::Database* db) : db_(db) {}
  kv::Database* database() override { return db_; }
  Task<void> Shutdown() override { co_return; }

 private:
  kv::Database* db_;
};

// A cluster's certificates, a pod, and those who talk to it.
struct PodTest : ::testing::Test {
  CertificateAndKey ca = *CreateCa("test");
  CertificateAndKey tenant_ca = *CreateCa("test tenants");
  std::string bundle = ca.certificate_pem + tenant_ca.certificate_pem;
  std::vector<std::string> names = {"localhost", "127.0.0.1"};
  RealWorld world;
  kv::MemoryDatabase database;
  std::unique_ptr<Random> random = MakeKernelRandom();

  std::shared_ptr<const TlsIdentity> IdentityOf(const CertificateAndKey& c) { return *TlsIdentity::FromPem(bundle, c.certificate_pem, c.key_pem); }
  std::shared_ptr<const TlsIdentity> operator_identity = IdentityOf(*IssueOperatorCertificate(ca, names));
  std::shared_ptr<const TlsIdentity> proxy_identity = IdentityOf(*IssueProxyCertificate(ca, names));
  std::shared_ptr<const TlsIdentity> pool_identity = IdentityOf(*IssuePoolCertificate(ca, names));

  ops::v1::StampRequest MakeStamp() {
    CertificateAndKey tenant = *IssueTenantCertificate(tenant_ca, 7, 3, 1h, names);
    ops::v1::StampRequest stamp;
    stamp.set_version(1);
    stamp.set_tenant_id(7);
    stamp.set_cluster_name("acme-7");
    stamp.set_generation(3);
    stamp.set_keyspace_id(12);
    stamp.set_ca_pem(bundle);
    stamp.set_certificate_pem(tenant.certificate_pem);
    stamp.set_key_pem(tenant.key_pem);
    stamp.add_kv_nodes()->set_address("127.0.0.1:1");
    stamp.set_user("app");
    stamp.set_scram_verifier(pgwire::MakeScramVerifier("secret", "0123456789abcdef").ToString());
    return stamp;
  }
  static std::string Json(const ops::v1::StampRequest& stamp) {
    std::string out;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(stamp, &out).ok());
    return out;
  }
  Task<absl::StatusOr<HttpResponse>> PostStamp(Context ctx, std::string body, std::shared_ptr<const TlsIdentity> as) {
    co_return co_await HttpPost(ctx, world.runtime().network, StrCat("https://", addresses.http, "/v1/stamp"), std::move(body), std::move(as));
  }
  Task<absl::StatusOr<std::unique_ptr<pgwire::PgClient>>> Connect(Context ctx, std::string user = "app", std::string password = "secret",
                                                                  std::string db = "defaultdb") {
    pgwire::ClientOptions options;
    options.address = addresses.sql;
    options.user = std::move(user);
    options.password = std::move(password);
    options.database = std::move(db);
    options.tls = TlsClientOptions{.identity = proxy_identity, .server_name = "", .alpn = ""};
    co_return co_await pgwire::PgClient::Connect(ctx, *world.runtime().network, *random, std::move(options));
  }

  // Starts a pod, runs `body` beside it, stops the pod. The body's status is the test's.
  void RunWithPod(std::function<Task<absl::Status>(Context)> body) {
    absl::Status status = world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
      auto control = MakeGrpcTransport(world.executor(), pool_identity);
      operator_transport = MakeGrpcTransport(world.executor(), operator_identity);
      TaskGroup group(ctx);
      Event prewarmed;
      absl::Status pod_status;
      group.SpawnFn([&]() -> Task<void> {
        PodOptions options;
        options.id = "test";
        options.identity = pool_identity;
        options.make_database = [this](const TenantBinding& binding) -> absl::StatusOr<std::unique_ptr<TenantDatabase>> {
          bound = binding;
          return std::unique_ptr<TenantDatabase>(new MemoryTenant(&database));
        };
        options.on_prewarmed = [&](const PodAddresses& a) {
          addresses = a;
          prewarmed.Set();
        };
        pod_status = co_await RunPod(group.ctx(), std::move(options), world.runtime(), control.get());
        pod_gone.Set();
      });
      CO_RETURN_IF_ERROR(co_await prewarmed.Wait(ctx.WithTimeout(20s)));
      absl::Status done = co_await body(ctx.WithTimeout(60s));
      group.Cancel();
      co_await group.Wait();
      co_await operator_transport->Shutdown(Duration::zero());
      operator_transport.reset();
      CO_RETURN_IF_ERROR(pod_status);
      co_return done;
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  PodAddresses addresses;
  std::optional<TenantBinding> bound;
  std::unique_ptr<Transport> operator_transport;
  Event pod_gone;
};

TEST_F(PodTest, IsStampedOnceByTheOperatorAlone) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(HttpResponse by_proxy, co_await PostStamp(ctx, Json(MakeStamp()), proxy_identity));
    EXPECT_EQ(by_proxy.status, 403);
    CO_ASSIGN_OR_RETURN(HttpResponse garbage, co_await PostStamp(ctx, "{", operator_identity));
    EXPECT_EQ(garbage.status, 400);
    ops::v1::StampRequest wrong = MakeStamp();
    wrong.set_cluster_name("acme-8");
    CO_ASSIGN_OR_RETURN(HttpResponse refused, co_await PostStamp(ctx, Json(wrong), operator_identity));
    EXPECT_EQ(refused.status, 400);
    CO_ASSIGN_OR_RETURN(HttpResponse good, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(good.status, 200) << good.body;
    ops::v1::StampResponse response;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(good.body, &response).ok());
    EXPECT_EQ(response.address(), addresses.sql);
    for (const char* step : {"connect", "bootstrap", "catalog", "serve"}) EXPECT_EQ(response.breakdown_us().count(step), 1u) << step;
    EXPECT_EQ(bound->tenant, 7u);
    EXPECT_EQ(bound->keyspace_id, 12u);
    CO_ASSIGN_OR_RETURN(HttpResponse again, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(again.status, 409);
    co_return absl::OkStatus();
  });
}

TEST_F(PodTest, StatusPagesAnswerInPlain) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    auto get = [&](std::string path) {
      HttpCall call;
      call.url = StrCat("http://", addresses.http, path);
      return HttpFetch(ctx, world.runtime().network, std::move(call));
    };
    CO_ASSIGN_OR_RETURN(HttpResponse health, co_await get("/healthz"));
    EXPECT_EQ(health.status, 200);
    CO_ASSIGN_OR_RETURN(HttpResponse ready, co_await get("/readyz"));
    EXPECT_EQ(ready.status, 503);
    CO_ASSIGN_OR_RETURN(HttpResponse stamp, co_await get("/v1/stamp"));
    EXPECT_EQ(stamp.status, 404);
    CO_ASSIGN_OR_RETURN(HttpResponse stamped, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(stamped.status, 200) << stamped.body;
    CO_ASSIGN_OR_RETURN(ready, co_await get("/readyz"));
    EXPECT_EQ(ready.status, 200);
    CO_ASSIGN_OR_RETURN(HttpResponse metrics, co_await get("/metrics"));
    EXPECT_NE(metrics.body.find("insula_sql_ready 1"), std::string::npos) << metrics.body;
    co_return absl::OkStatus();
  });
}

TEST_F(PodTest, ServesClientsWithThePassword) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(HttpResponse stamped, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(stamped.status, 200) << stamped.body;
    CO_ASSIGN_OR_RETURN(auto client, co_await Connect(ctx));
    EXPECT_EQ(client->parameters().at("server_encoding"), "UTF8");
    CO_ASSIGN_OR_RETURN(auto outcome, co_await client->Query(ctx, "select current_user || '@' || current_database()"));
    EXPECT_EQ(outcome.value(), "app@defaultdb") << outcome.error;
    auto wrong = co_await Connect(ctx, "app", "guess");
    EXPECT_EQ(ToPgError(wrong.status()).sqlstate, "28P01");
    auto nobody = co_await Connect(ctx, "nobody", "guess");
    EXPECT_EQ(ToPgError(nobody.status()).sqlstate, "28P01");
    EXPECT_EQ(ToPgError(nobody.status()).message, "password authentication failed for user \"nobody\"");
    auto no_database = co_await Connect(ctx, "app", "secret", "nowhere");
    EXPECT_EQ(ToPgError(no_database.status()).sqlstate, "3D000");
    co_await client->Terminate(ctx);
    co_return absl::OkStatus();
  });
}

TEST_F(PodTest, ACancelRequestEndsTheStatement) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(HttpResponse stamped, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(stamped.status, 200) << stamped.body;
    CO_ASSIGN_OR_RETURN(auto client, co_await Connect(ctx));
    std::string out;
    pgwire::AppendQuery("select count(*) from generate_series(1, 2000000000)", &out);
    CO_RETURN_IF_ERROR(co_await client->Send(ctx, out));
    // Until the pod says that it runs.
    CO_ASSIGN_OR_RETURN(auto watch, co_await operator_transport->Open(ctx, addresses.control, StrCat(kControl, "WatchActivity")));
    CO_RETURN_IF_ERROR(co_await watch->Send(ctx, ops::v1::ActivityRequest().SerializeAsString()));
    for (ops::v1::ActivityResponse activity; activity.active_statements() == 0;) {
      CO_ASSIGN_OR_RETURN(auto message, co_await watch->Receive(ctx));
      EXPECT_TRUE(message.has_value() && activity.ParseFromString(*message));
      if (!message) co_return absl::InternalError("the watch ended");
    }
    TlsClientOptions tls{.identity = proxy_identity, .server_name = "", .alpn = ""};
    pgwire::BackendKeyData wrong = client->key();
    wrong.secret = "nope";
    CO_RETURN_IF_ERROR(co_await pgwire::PgClient::Cancel(ctx, *world.runtime().network, addresses.sql, wrong, tls));
    CO_RETURN_IF_ERROR(co_await pgwire::PgClient::Cancel(ctx, *world.runtime().network, addresses.sql, client->key(), tls));
    CO_ASSIGN_OR_RETURN(auto messages, co_await client->ReceiveUntilReady(ctx));
    std::string code;
    for (const auto& m : messages) {
      if (m.type == pgwire::backend::kError) code = pgwire::DecodeError(m.payload)->sqlstate;
    }
    EXPECT_EQ(code, "57014");
    co_return absl::OkStatus();
  });
}

TEST_F(PodTest, TheGateKeepsNewWorkOutUntilItOpens) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(HttpResponse stamped, co_await PostStamp(ctx, Json(MakeStamp()), operator_identity));
    EXPECT_EQ(stamped.status, 200) << stamped.body;
    CO_ASSIGN_OR_RETURN(auto client, co_await Connect(ctx));
    auto close = [&](bool force) {
      ops::v1::CloseGateRequest request;
      request.set_force(force);
      return CallUnary<ops::v1::CloseGateResponse>(ctx, *operator_transport, addresses.control, StrCat(kControl, "CloseGate"), request);
    };
    CO_ASSIGN_OR_RETURN(auto begun, co_await client->Query(ctx, "begin"));
    EXPECT_TRUE(begun.error.ok());
    CO_ASSIGN_OR_RETURN(auto busy, co_await close(false));
    EXPECT_FALSE(busy.closed());
    CO_ASSIGN_OR_RETURN(auto committed, co_await client->Query(ctx, "commit"));
    EXPECT_TRUE(committed.error.ok());
    CO_ASSIGN_OR_RETURN(auto closed, co_await close(false));
    EXPECT_TRUE(closed.closed());
    auto late = co_await Connect(ctx);
    EXPECT_EQ(ToPgError(late.status()).sqlstate, "57P03");
    // A statement on a connection that is there waits for the gate.
    std::string out;
    pgwire::AppendQuery("select 7", &out);
    CO_RETURN_IF_ERROR(co_await client->Send(ctx, out));
    auto opened = co_await CallUnary<ops::v1::OpenGateResponse>(ctx, *operator_transport, addresses.control, StrCat(kControl, "OpenGate"), ops::v1::OpenGateRequest());
    EXPECT_TRUE(opened.ok()) << opened.status();
    CO_ASSIGN_OR_RETURN(auto messages, co_await client->ReceiveUntilReady(ctx));
    EXPECT_EQ(messages[0].type, pgwire::backend::kRowDescription);
    // Others may not touch it.
    auto proxy_transport = MakeGrpcTransport(world.executor(), proxy_identity);
    auto denied = co_await CallUnary<ops::v1::StopResponse>(ctx, *proxy_transport, addresses.control, StrCat(kControl, "Stop"), ops::v1::StopRequest());
    EXPECT_EQ(denied.status().code(), absl::StatusCode::kPermissionDenied);
    co_await proxy_transport->Shutdown(Duration::zero());
    // By force: sessions end with 57P01.
    CO_ASSIGN_OR_RETURN(auto forced, co_await close(true));
    EXPECT_TRUE(forced.closed());
    CO_ASSIGN_OR_RETURN(auto message, co_await client->Receive(ctx));
    EXPECT_TRUE(message.has_value() && message->type == pgwire::backend::kError);
    if (message) EXPECT_EQ(pgwire::DecodeError(message->payload)->sqlstate, "57P01");
    co_return absl::OkStatus();
  });
}

TEST_F(PodTest, StopEndsThePod) {
  RunWithPod([&](Context ctx) -> Task<absl::Status> {
    auto stopped = co_await CallUnary<ops::v1::StopResponse>(ctx, *operator_transport, addresses.control, StrCat(kControl, "Stop"), ops::v1::StopRequest());
    EXPECT_TRUE(stopped.ok()) << stopped.status();
    co_return co_await pod_gone.Wait(ctx);
  });
}

}  // namespace
}  // namespace insula::sql

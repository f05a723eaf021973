#include "sql/server/pod.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "base/async/task_group.h"
#include "base/http/http.h"
#include "base/log/log.h"
#include "base/metrics/metrics.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "proto/operator/pod.pb.h"
#include "sql/catalog/catalog.h"
#include "sql/catalog/clearings.h"
#include "sql/server/activity_gate.h"
#include "sql/server/client_server.h"
#include "sql/server/pod_control.h"
#include "sql/server/split_listener.h"
#include "sql/server/warm_up.h"
#include "sql/session/plan_cache.h"
#include "tenant/tenant.h"

namespace insula::sql {
namespace {

// What a pod may show of itself without a tenant; see PodAddresses.
std::string WithPort(const std::string& address, int port) { return StrCat(address.substr(0, address.rfind(':')), ":", port); }

// Microseconds since the last call, by step.
class Laps {
 public:
  Laps(const Clock* clock, ops::v1::StampResponse* response) : clock_(clock), last_(clock->Mono()), response_(response) {}
  void Lap(const std::string& step) {
    MonoTime now = clock_->Mono();
    (*response_->mutable_breakdown_us())[step] = std::chrono::duration_cast<std::chrono::microseconds>(now - last_).count();
    last_ = now;
  }

 private:
  const Clock* clock_;
  MonoTime last_;
  ops::v1::StampResponse* response_;
};

class Pod {
 public:
  Pod(Context ctx, PodOptions options, Runtime runtime, Transport* control)
      : ctx_(ctx),
        life_(Context::Background(runtime.executor, ctx.info()).WithCancel()),
        options_(std::move(options)),
        runtime_(runtime),
        control_(control),
        gate_(runtime.clock),
        split_(runtime.network, life_),
        group_(life_) {}

  Task<absl::Status> Run() {
    WarmUp();
    RegisterMetrics();
    absl::Status status = Prewarm();
    if (status.ok()) {
      LOG_INFO("prewarmed", {"pod", options_.id}, {"sql", addresses_.sql}, {"http", addresses_.http}, {"control", addresses_.control});
      if (options_.on_prewarmed) options_.on_prewarmed(addresses_);
      // Until Stop, or until the process is asked to end: what serves clients outlives that, so that it can drain.
      absl::Status waited = co_await stop_.Wait(ctx_);
      (void)waited;
      co_await Drain();
    }
    if (https_ != nullptr) co_await https_->Shutdown();
    if (http_ != nullptr) co_await http_->Shutdown();
    co_await control_->Shutdown(Duration::zero());
    if (clients_ != nullptr) co_await clients_->Stop();
    co_await group_.Wait();
    clients_.reset();
    if (clearings_ != nullptr) co_await clearings_->Stop();
    if (database_ != nullptr) co_await database_->Shutdown();
    life_.Cancel();
    LOG_INFO("gone", {"pod", options_.id}, {"status", status});
    co_return status;
  }

 private:
  enum class State { kStarting, kPrewarmed, kStamping, kReady, kFailed, kDraining };

  // ---- before the stamp
  absl::Status Prewarm() {
    ASSIGN_OR_RETURN(listener_, runtime_.network->Listen(options_.sql_address));
    addresses_.sql = WithPort(options_.sql_address, listener_->port());

    ASSIGN_OR_RETURN(int http_port, split_.Listen(options_.http_address));
    addresses_.http = WithPort(options_.http_address, http_port);
    auto ready = [this]() -> absl::Status {
      return state_ == State::kReady ? absl::OkStatus() : absl::UnavailableError(state_ == State::kPrewarmed ? "prewarmed: no tenant yet" : "not ready");
    };
    auto render = [this] {
      for (const Mirrored& m : mirrored_) m.counter->Increment(m.read() - m.counter->value());
      return metrics_.Render();
    };
    auto stamp = [this](Context ctx, HttpRequest request) { return HandleStamp(ctx, std::move(request)); };
    if (options_.identity != nullptr) {
      HttpServerOptions tls;
      tls.identity = options_.identity;
      tls.require_client_certificate = options_.require_certificates;
      https_ = std::make_unique<HttpServer>(life_, split_.tls(), tls);
      AddStandardHandlers(https_.get(), ready, render);
      https_->Handle("POST", "/v1/stamp", stamp);
      RETURN_IF_ERROR(https_->Listen(options_.http_address).status());
    }
    http_ = std::make_unique<HttpServer>(life_, split_.plain());
    AddStandardHandlers(http_.get(), ready, render);
    if (!options_.require_certificates) http_->Handle("POST", "/v1/stamp", stamp);
    RETURN_IF_ERROR(http_->Listen(options_.http_address).status());

    RegisterPodControl(control_, &gate_, options_.require_certificates,
                       {.end_sessions = [this] { if (clients_ != nullptr) clients_->EndSessions(); }, .stop = [this] { stop_.Set(); }});
    ASSIGN_OR_RETURN(int control_port, control_->Listen(options_.control_address));
    addresses_.control = WithPort(options_.control_address, control_port);
    state_ = State::kPrewarmed;
    return absl::OkStatus();
  }

  void RegisterMetrics() {
    // What is counted elsewhere is brought up to date when it is asked for.
    auto count = [this](const std::string& name, const std::string& help, std::function<double()> read) {
      mirrored_.push_back({metrics_.AddCounter(name, help), std::move(read)});
    };
    metrics::AddProcessMetrics(&metrics_);
    metrics_.AddGauge("insula_sql_connections", "Client connections.", [this] { return gate_.activity().connections; });
    metrics_.AddGauge("insula_sql_active_statements", "Statements running.", [this] { return gate_.activity().active_statements; });
    metrics_.AddGauge("insula_sql_open_transactions", "Transactions open.", [this] { return gate_.activity().open_transactions; });
    metrics_.AddGauge("insula_sql_ready", "1 when the pod serves a tenant.", [this] { return state_ == State::kReady ? 1 : 0; });
    metrics_.AddGauge("insula_sql_plan_cache_entries", "Plans kept.", [this] { return plans_.size(); });
    count("insula_sql_statements_total", "Statements and protocol steps run.", [this] { return gate_.statements(); });
    count("insula_sql_plan_cache_hits_total", "Plans found in the cache.", [this] { return plans_.hits(); });
    count("insula_sql_plan_cache_misses_total", "Plans not found in the cache.", [this] { return plans_.misses(); });
    count("insula_sql_connections_accepted_total", "Connections accepted.", [this] { return clients_ == nullptr ? 0.0 : static_cast<double>(clients_->accepted()); });
    count("insula_sql_failed_logins_total", "Wrong passwords and unknown users.", [this] { return clients_ == nullptr ? 0.0 : static_cast<double>(clients_->failed_logins()); });
  }

  // ---- the stamp
  Task<HttpResponse> HandleStamp(Context ctx, HttpRequest request) {
    auto refuse = [](int status, std::string_view why) { return HttpResponse{.status = status, .body = StrCat(why, "\n")}; };
    if (options_.require_certificates && IdentifyPeer(request.peer).role != Role::kOperator) co_return refuse(403, "only the operator stamps pods");
    if (state_ != State::kPrewarmed) co_return refuse(409, "this pod has been stamped already");
    ops::v1::StampRequest stamp;
    if (!google::protobuf::util::JsonStringToMessage(request.body, &stamp).ok()) co_return refuse(400, "the stamp does not parse");
    absl::StatusOr<TenantBinding> binding = ParseStamp(stamp);
    if (!binding.ok()) co_return refuse(400, ToPgError(binding.status()).message);
    // From here on there is no second try, whatever becomes of this one.
    state_ = State::kStamping;
    absl::StatusOr<ops::v1::StampResponse> response = co_await Stamp(ctx, *std::move(binding));
    if (!response.ok()) {
      state_ = State::kFailed;
      LOG_ERROR("the stamp failed", {"pod", options_.id}, {"tenant", stamp.tenant_id()}, {"status", response.status()});
      co_return refuse(500, ToPgError(response.status()).message);
    }
    state_ = State::kReady;
    HttpResponse out;
    out.content_type = "application/json";
    if (!google::protobuf::util::MessageToJsonString(*response, &out.body).ok()) co_return refuse(500, "the answer does not serialise");
    co_return out;
  }

  Task<absl::StatusOr<ops::v1::StampResponse>> Stamp(const Context& ctx, TenantBinding binding) {
    ops::v1::StampResponse response;
    Laps laps(runtime_.clock, &response);
    CO_ASSIGN_OR_RETURN(database_, options_.make_database(binding));
    laps.Lap("connect");
    catalog_ = std::make_unique<Catalog>(database_->database(), KeyspacePrefix(binding.keyspace_id));
    clearings_ = std::make_unique<Clearings>(life_, database_->database(), catalog_->layout());
    catalog_->set_clearings(clearings_.get());
    CO_RETURN_IF_ERROR(co_await catalog_->Bootstrap(ctx, binding.user, binding.scram_verifier));
    laps.Lap("bootstrap");
    CO_RETURN_IF_ERROR((co_await catalog_->Current(ctx)).status());
    laps.Lap("catalog");
    ClientServerOptions clients;
    clients.identity = binding.identity;
    clients.require_proxy = options_.require_certificates;
    clients.max_connections = options_.max_connections;
    clients.settings = binding.settings;
    clients.mock_secret = StrCat("mock ", binding.scram_verifier);
    SessionEnvironment env;
    env.database = database_->database();
    env.catalog = catalog_.get();
    env.plans = &plans_;
    env.random = runtime_.random;
    env.observer = &gate_;
    clients_ = std::make_unique<ClientServer>(life_, std::move(clients), env, &gate_);
    group_.Spawn(clients_->Serve(listener_.get()));
    clearings_->Start();
    laps.Lap("serve");
    response.set_address(addresses_.sql);
    LOG_INFO("stamped", {"pod", options_.id}, {"tenant", binding.tenant}, {"generation", binding.generation});
    co_return response;
  }

  // ---- the end
  Task<void> Drain() {
    state_ = State::kDraining;
    gate_.Close(/*force=*/true);
    Context cleanup = Context::Background(runtime_.executor).WithTimeout(options_.drain_timeout);
    while (gate_.activity().active_statements != 0 && !cleanup.done()) {
      absl::Status changed = co_await gate_.WaitForChange(cleanup, gate_.version());
      (void)changed;
    }
    gate_.Stop();
    if (clients_ == nullptr) co_return;
    clients_->EndSessions();
    while (gate_.activity().connections != 0 && !cleanup.done()) {
      absl::Status changed = co_await gate_.WaitForChange(cleanup, gate_.version());
      (void)changed;
    }
  }

  Context ctx_;   // asks the pod to end
  Context life_;  // of all that it runs
  PodOptions options_;
  Runtime runtime_;
  Transport* control_;
  State state_ = State::kStarting;
  PodAddresses addresses_;
  struct Mirrored {
    metrics::Counter* counter;
    std::function<double()> read;
  };
  metrics::Registry metrics_;
  std::vector<Mirrored> mirrored_;
  ActivityGate gate_;
  PlanCache plans_;
  std::unique_ptr<TenantDatabase> database_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Clearings> clearings_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<ClientServer> clients_;
  SplitListener split_;
  std::unique_ptr<HttpServer> https_, http_;
  Event stop_;
  TaskGroup group_;
};

}  // namespace

Task<absl::Status> RunPod(Context ctx, PodOptions options, Runtime runtime, Transport* control) {
  Pod pod(ctx, std::move(options), runtime, control);
  co_return co_await pod.Run();
}

}  // namespace insula::sql

#include "kv/server/batch_service.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/log/log.h"
#include "base/metrics/metrics.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

// Both ends of one stream in memory: the test plays the client.
struct Wire {
  Channel<std::string> to_server;
  Condition may_send;
  bool client_reads = true;
  std::map<uint64_t, v1::BatchResponse> answers;
  Condition answered;
};

class FakeStream : public MessageStream {
 public:
  FakeStream(Wire* wire, PeerIdentity peer) : wire_(wire), peer_(std::move(peer)) {}
  Task<absl::Status> Send(const Context& ctx, std::string message) override {
    while (!wire_->client_reads) CO_RETURN_IF_ERROR(co_await wire_->may_send.Wait(ctx));
    v1::StreamResponse response;
    EXPECT_TRUE(response.ParseFromString(message));
    for (auto& reply : *response.mutable_replies()) wire_->answers[reply.id()] = std::move(*reply.mutable_batch());
    wire_->answered.NotifyAll();
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) override { co_return co_await wire_->to_server.Pop(ctx); }
  Task<absl::Status> CloseSend(const Context&) override { co_return absl::OkStatus(); }
  const PeerIdentity& peer() const override { return peer_; }

 private:
  Wire* wire_;
  PeerIdentity peer_;
};

class FakeTransport : public Transport {
 public:
  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context&, std::string, std::string) override { co_return absl::UnimplementedError(""); }
  void Handle(std::string, Handler handler) override { handler_ = std::move(handler); }
  absl::StatusOr<int> Listen(const std::string&) override { return 0; }
  Task<void> Shutdown(Duration) override { co_return; }
  Handler handler_;
};

class BatchServiceTest : public testing::Test, protected BatchExecutor {
 protected:
  BatchServiceTest()
      : sink_(log::Level::kWarning, [this](log::Level, std::string_view line) { lines_.emplace_back(line); }),
        gate_([this](const Context& ctx, TenantId) -> Task<absl::StatusOr<pb::TenantRecord>> {
          CO_RETURN_IF_ERROR(co_await ctx.Yield());
          co_return record_;
        }) {
    record_.set_id(7);
    record_.set_keyspace_id(300);
    record_.set_state(pb::ACTIVE);
    record_.set_generation(3);
    gate_.SetOnRefused([this](TenantId tenant, const absl::Status& why) { admission_.TurnAway(tenant, why); });
    service_.Register(&transport_);
  }

  // Serves one stream of `peer` while `client` runs; then the client hangs up.
  void Serve(PeerIdentity peer, std::function<Task<void>(Wire&)> client) {
    Wire wire;
    TaskGroup tasks(loop_.ctx());
    tasks.SpawnFn([&]() -> Task<void> { ended_ = co_await transport_.handler_(loop_.ctx().WithCancel(), std::make_unique<FakeStream>(&wire, peer)); });
    tasks.SpawnFn([&]() -> Task<void> {
      co_await client(wire);
      wire.to_server.Close();
    });
    loop_.RunUntilIdle();
    EXPECT_EQ(tasks.size(), 0u) << "somebody still waits";
  }
  static PeerIdentity Tenant(uint64_t generation = 3) {
    return {.common_name = "7", .organizational_unit = "Tenants", .uris = {StrCat("insula://tenant/7/generation/", generation)}, .address = "10.0.0.7:1"};
  }
  static v1::StreamRequest Call(uint64_t id, std::function<void(v1::BatchRequest*)> fill) {
    v1::StreamRequest message;
    message.add_calls()->set_id(id);
    v1::BatchRequest* batch = message.mutable_calls(0)->mutable_batch();
    batch->mutable_header()->set_version(kBatchVersion);
    fill(batch);
    return message;
  }
  static v1::StreamRequest Get(uint64_t id) {
    return Call(id, [](v1::BatchRequest* batch) { batch->add_requests()->mutable_get()->set_key(KeyspacePrefix(300) + "a"); });
  }
  static v1::StreamRequest Commit(uint64_t id) {
    return Call(id, [](v1::BatchRequest* batch) {
      batch->mutable_header()->mutable_txn()->mutable_meta()->set_id("0123456789abcdef");
      batch->add_requests()->mutable_end_txn()->set_key(KeyspacePrefix(300) + "a");
    });
  }
  static void Send(Wire& wire, const v1::StreamRequest& message) { wire.to_server.TryPush(message.SerializeAsString()); }
  Task<void> AwaitAnswers(Wire& wire, size_t count) {
    while (wire.answers.size() < count) (void)co_await wire.answered.Wait(loop_.ctx());
  }
  // Everything that can run without the client does.
  Task<void> Settle() {
    for (int i = 0; i < 2000; ++i) (void)co_await loop_.ctx().Yield();
  }

  Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) override {
    ++executed_;
    v1::BatchResponse response;
    const bool commit = batch.requests(0).has_end_txn();
    while (hold_ && !commit) {
      if (absl::Status s = co_await held_.Wait(ctx); !s.ok()) {
        *response.mutable_error() = ToKvError(s);
        ++cancelled_;
        co_return response;
      }
    }
    tenants_.push_back(batch.header().tenant_id());
    if (!error_.empty()) {
      response.mutable_error()->mutable_invalid();
      response.mutable_error()->set_message(error_);
      co_return response;
    }
    if (!commit) response.add_responses()->mutable_get()->set_value(std::string(answer_bytes_, 'v'));
    co_return response;
  }
  Task<v1::BatchResponse> LookUp(Context, v1::RangeLookupRequest) override { co_return v1::BatchResponse(); }
  uint64_t LeaseSequence(uint64_t) const override { return 1; }
  Timestamp LatestTimestamp() override { return Timestamp::FromMicros(1'000'000); }

  TestLoop loop_;
  std::vector<std::string> lines_;
  log::ScopedSink sink_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  pb::TenantRecord record_;
  TenantGate gate_;
  double disk_pressure_ = 0;
  Admission admission_{&loop_, &metrics_, {}, [this] { return disk_pressure_; }};
  DenialLog denials_{&loop_, &metrics_};
  FakeTransport transport_;
  BatchService service_{this, &gate_, &admission_, &denials_, &metrics_};
  absl::Status ended_;  // of the last stream
  int executed_ = 0;
  int cancelled_ = 0;
  size_t answer_bytes_ = 10;
  std::string error_;
  bool hold_ = false;
  Condition held_;
  std::vector<uint64_t> tenants_;
};

TEST_F(BatchServiceTest, AnswersByIdInTheTenantsName) {
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    for (uint64_t id = 1; id <= 3; ++id) Send(wire, Get(id));
    co_await AwaitAnswers(wire, 3);
    for (auto& [id, answer] : wire.answers) EXPECT_FALSE(answer.has_error()) << id;
  });
  EXPECT_TRUE(ended_.ok()) << ended_;
  EXPECT_EQ(tenants_, std::vector<uint64_t>(3, 7));
  EXPECT_EQ(admission_.bytes(), 0u);
}

TEST_F(BatchServiceTest, AClientThatTakesNoAnswersIsNotWorkedFor) {
  answer_bytes_ = 1 << 20;
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    wire.client_reads = false;
    for (uint64_t id = 1; id <= 500; ++id) Send(wire, Get(id));
    co_await Settle();
    EXPECT_LE(executed_, 40) << "half a gigabyte for nobody";
    EXPECT_LE(admission_.bytes(), uint64_t{45} << 20);
    wire.client_reads = true;
    wire.may_send.NotifyAll();
    co_await AwaitAnswers(wire, 500);
    EXPECT_EQ(executed_, 500);
  });
  EXPECT_EQ(admission_.bytes(), 0u);
}

TEST_F(BatchServiceTest, ACommitPassesThoseThatWaitForIt) {
  hold_ = true;  // as if all waited for one lock
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    for (uint64_t id = 1; id <= BatchService::kMaxInFlightCalls + 10; ++id) Send(wire, Get(id));
    co_await AwaitAnswers(wire, 10);
    for (auto& [id, answer] : wire.answers) {
      EXPECT_TRUE(answer.error().has_unavailable()) << id;
      EXPECT_GT(answer.error().unavailable().retry_after_us(), 0);
    }
    Send(wire, Commit(10'000));
    co_await AwaitAnswers(wire, 11);
    EXPECT_FALSE(wire.answers[10'000].has_error()) << wire.answers[10'000].error().message();
    hold_ = false;
    held_.NotifyAll();
    co_await AwaitAnswers(wire, BatchService::kMaxInFlightCalls + 11);
  });
}

TEST_F(BatchServiceTest, CancelledCallsEndAndTheirIdsAreAnswered) {
  hold_ = true;
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    Send(wire, Get(1));
    co_await Settle();
    v1::StreamRequest cancel;
    cancel.add_cancel(1);
    cancel.add_cancel(77);  // not known: no harm
    Send(wire, cancel);
    co_await AwaitAnswers(wire, 1);
    EXPECT_EQ(cancelled_, 1);
  });
}

TEST_F(BatchServiceTest, AnAnswerTooLargeForAMessageIsAnError) {
  answer_bytes_ = 65 << 20;
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    Send(wire, Get(1));
    co_await AwaitAnswers(wire, 1);
    EXPECT_TRUE(wire.answers[1].error().has_invalid());
  });
}

TEST_F(BatchServiceTest, AnErrorsTextIsAlwaysText) {
  error_ = std::string("the key \xfe\x81\x00\xff is odd", 19);
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    Send(wire, Get(1));
    co_await AwaitAnswers(wire, 1);
    EXPECT_EQ(wire.answers[1].error().message(), "the key \\xfe\\x81\\x00\\xff is odd");
  });
}

TEST_F(BatchServiceTest, ASuspensionReachesThoseInTheQueueToo) {
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    Send(wire, Get(1));
    co_await AwaitAnswers(wire, 1);
    // More than one turn, all at once; before the next turn the tenant is suspended.
    v1::StreamRequest many;
    for (uint64_t id = 10; id < 400; ++id) *many.add_calls() = Get(id).calls(0);
    Send(wire, many);
    while (admission_.queued() == 0) (void)co_await loop_.ctx().Yield();
    record_.set_state(pb::SUSPENDED);
    gate_.Learn(record_);
    EXPECT_EQ(admission_.queued(), 0u);
    co_await AwaitAnswers(wire, 391);
    int refused = 0;
    for (auto& [id, answer] : wire.answers) refused += answer.error().has_stale_generation() ? 1 : 0;
    EXPECT_GE(refused, 200);
  });
}

TEST_F(BatchServiceTest, WhileTheDiskDoesNotKeepUpOnlyWhatIsWrittenWaits) {
  disk_pressure_ = 1;
  auto put = [](uint64_t id, bool one_phase) {
    return Call(id, [one_phase](v1::BatchRequest* batch) {
      batch->mutable_header()->mutable_txn()->mutable_meta()->set_id("0123456789abcdef");
      auto* write = batch->add_requests()->mutable_put();
      write->set_key(KeyspacePrefix(300) + "a");
      write->set_value(std::string(1 << 20, 'v'));
      if (one_phase) batch->add_requests()->mutable_end_txn()->set_one_phase(true);
    });
  };
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    Send(wire, put(1, false));
    Send(wire, put(2, true));  // nobody waits for it: it has no locks yet
    Send(wire, Get(3));
    Send(wire, Commit(4));
    co_await AwaitAnswers(wire, 2);
    EXPECT_TRUE(wire.answers.contains(3) && wire.answers.contains(4));
    EXPECT_EQ(admission_.writes().queued(), 2u);
    EXPECT_EQ(metrics_.writes_held_back->With({"7"})->value(), 2);
    record_.set_state(pb::SUSPENDED);
    gate_.Learn(record_);
    co_await AwaitAnswers(wire, 4);
    EXPECT_TRUE(wire.answers[1].error().has_stale_generation()) << "turned away while it waited";
  });
}

TEST_F(BatchServiceTest, WhatATransactionLeavesToResolveIsPaidForAtItsEnd) {
  v1::BatchRequest batch = NewBatch();
  v1::EndTxnRequest* end = batch.add_requests()->mutable_end_txn();
  for (int i = 0; i < 50; ++i) end->add_lock_spans()->set_key("k");
  EXPECT_EQ(WorkOf(batch, 1000).write_requests, 51u);
  end->set_one_phase(true);
  EXPECT_EQ(WorkOf(batch, 1000).write_requests, 1u) << "its locks never come to be";
}

TEST_F(BatchServiceTest, RefusalsAreCountedAndLoggedWithBothIdentitiesAndNoKey) {
  Serve(Tenant(), [&](Wire& wire) -> Task<void> {
    for (uint64_t id = 1; id <= 50; ++id) {
      Send(wire, Call(id, [](v1::BatchRequest* batch) { batch->add_requests()->mutable_get()->set_key(KeyspacePrefix(301) + "secret"); }));
    }
    co_await AwaitAnswers(wire, 50);
    for (auto& [id, answer] : wire.answers) EXPECT_TRUE(answer.error().has_unauthorized());
  });
  Serve(Tenant(2), [&](Wire& wire) -> Task<void> {
    Send(wire, Get(1));
    co_await AwaitAnswers(wire, 1);
    EXPECT_TRUE(wire.answers[1].error().has_stale_generation());
  });
  EXPECT_EQ(executed_, 0);
  EXPECT_EQ(metrics_.denied->With({"key"})->value(), 50);
  EXPECT_EQ(metrics_.denied->With({"generation"})->value(), 1);
  ASSERT_EQ(lines_.size(), static_cast<size_t>(DenialLog::kLinesPerInterval)) << "a flood makes few lines";
  EXPECT_NE(lines_[0].find("caller=\"tenant 7 generation 3\""), std::string::npos) << lines_[0];
  EXPECT_NE(lines_[0].find("address=10.0.0.7:1"), std::string::npos) << lines_[0];
  EXPECT_NE(lines_[0].find("target=\"keyspace 301\""), std::string::npos) << lines_[0];
  for (const std::string& line : lines_) EXPECT_EQ(line.find("secret"), std::string::npos);
}

TEST_F(BatchServiceTest, NodesPassWithoutWall) {
  PeerIdentity node{.common_name = "node-2", .organizational_unit = "Nodes", .uris = {}, .address = ""};
  Serve(node, [&](Wire& wire) -> Task<void> {
    Send(wire, Call(1, [](v1::BatchRequest* batch) { batch->add_requests()->mutable_get()->set_key(KeyspacePrefix(301)); }));
    co_await AwaitAnswers(wire, 1);
    EXPECT_FALSE(wire.answers[1].has_error());
  });
  Serve({.common_name = "proxy", .organizational_unit = "Proxies", .uris = {}, .address = ""}, [](Wire&) -> Task<void> { co_return; });
  EXPECT_EQ(ended_.code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace insula::kv

#include "kv/client/stream_channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/async/task_group.h"
#include "base/check.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

constexpr char kAddress[] = "node:1000";

PeerIdentity Named(std::string name) {
  PeerIdentity out;
  out.common_name = std::move(name);
  out.organizational_unit = "Nodes";
  return out;
}

// Answers gets with their key, the last of each message first; never answers "silent"; notes what it saw.
class FakeNode {
 public:
  explicit FakeNode(SimProcess& process) : transport_(process.MakeTransport(Named("node"))) {
    transport_->Handle(kBatchMethod, [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
      ++streams;
      while (true) {
        CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
        if (!message) co_return absl::OkStatus();
        ++messages;
        v1::StreamRequest request;
        if (!request.ParseFromString(*message)) co_return absl::InvalidArgumentError("damaged");
        cancels += request.cancel_size();
        v1::StreamResponse response;
        for (int i = request.calls_size() - 1; i >= 0; --i) {
          ++calls;
          const std::string& key = request.calls(i).batch().requests(0).get().key();
          if (key == "silent") continue;
          auto* reply = response.add_replies();
          reply->set_id(request.calls(i).id());
          reply->mutable_batch()->add_responses()->mutable_get()->set_value(key);
        }
        CO_RETURN_IF_ERROR(co_await stream->Send(ctx, response.SerializeAsString()));
      }
    });
    CHECK_OK(transport_->Listen(":1000").status());
  }

  int streams = 0, messages = 0, calls = 0, cancels = 0;

 private:
  std::unique_ptr<Transport> transport_;
};

v1::BatchRequest Get(std::string key) {
  v1::BatchRequest batch;
  batch.add_requests()->mutable_get()->set_key(std::move(key));
  return batch;
}

class StreamChannelTest : public testing::Test {
 protected:
  StreamChannelTest() : node_(sim_.AddProcess("node")), client_(sim_.AddProcess("client")) {
    node_->Boot([](SimProcess& p) -> std::shared_ptr<void> { return std::make_shared<FakeNode>(p); });
  }
  FakeNode* node() { return node_->root<FakeNode>(); }
  template <typename F>
  void Run(F fn) {  // fn(ctx, channel)
    absl::Status status = sim_.Run(client_, [this, fn](Context ctx) -> Task<absl::Status> {
      auto transport = client_->MakeTransport(Named("client"));
      StreamChannel channel(ctx, transport.get());
      co_await fn(ctx, channel);
      co_return absl::OkStatus();
    }, 60s);
    EXPECT_TRUE(status.ok()) << status;
  }

  Simulation sim_{11};
  SimProcess* node_;
  SimProcess* client_;
};

TEST_F(StreamChannelTest, ManyCallsShareOneStreamAndFewMessages) {
  Run([this](Context ctx, StreamChannel& channel) -> Task<void> {
    TaskGroup group(ctx);
    int right = 0;
    for (int i = 0; i < 200; ++i) {
      group.SpawnFn([&, i]() -> Task<void> {
        CallResult result = co_await channel.Call(ctx, kAddress, Get(StrCat("k", i)));
        right += result.status.ok() && result.response.responses(0).get().value() == StrCat("k", i);
      });
    }
    co_await group.Wait();
    EXPECT_EQ(right, 200);
    EXPECT_EQ(node()->streams, 1);
    EXPECT_EQ(node()->calls, 200);
    EXPECT_LT(node()->messages, 20);
    EXPECT_EQ(channel.connections(), 1u);
  });
}

TEST_F(StreamChannelTest, ACallThatIsGivenUpIsCancelledAtTheNode) {
  Run([this](Context ctx, StreamChannel& channel) -> Task<void> {
    Context limited = ctx.WithTimeout(500ms);
    CallResult result = co_await channel.Call(limited, kAddress, Get("silent"));
    EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_TRUE(result.maybe_received);
    EXPECT_TRUE((co_await channel.Call(ctx, kAddress, Get("k"))).status.ok());
    EXPECT_EQ(node()->cancels, 1);
  });
}

TEST_F(StreamChannelTest, ABrokenStreamFailsItsCallsAndTheNextOneIsNew) {
  sim_.At(2s, [this] { node_->Crash(); });
  sim_.At(4s, [this] { node_->Restart(); });
  Run([this](Context ctx, StreamChannel& channel) -> Task<void> {
    CallResult lost = co_await channel.Call(ctx, kAddress, Get("silent"));
    EXPECT_EQ(lost.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE(lost.maybe_received);
    while (!node_->alive()) EXPECT_TRUE((co_await Sleep(ctx, 100ms)).ok());
    CallResult again;
    do {
      again = co_await channel.Call(ctx, kAddress, Get("k"));
    } while (!again.status.ok() && ctx.status().ok());
    EXPECT_EQ(again.response.responses(0).get().value(), "k");
  });
}

TEST_F(StreamChannelTest, ANodeThatCannotBeReachedHasCertainlyReceivedNothing) {
  Run([](Context ctx, StreamChannel& channel) -> Task<void> {
    CallResult result = co_await channel.Call(ctx, "nobody:1000", Get("k"));
    EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_FALSE(result.maybe_received);
  });
}

}  // namespace
}  // namespace insula::kv

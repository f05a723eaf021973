#include "cli/node_admin.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sim/simulation.h"
#include "proto/kv/status.pb.h"

namespace insula::cli {
namespace {

namespace kpb = insula::kv::v1;

// A stream whose server has said all there is to say and ended, with `end`, before the client has closed its side.
class EndedStream : public MessageStream {
 public:
  EndedStream(std::deque<std::string> answers, absl::Status end) : answers_(std::move(answers)), end_(std::move(end)) {}
  Task<absl::Status> Send(const Context&, std::string) override { co_return absl::OkStatus(); }
  Task<absl::Status> CloseSend(const Context&) override { co_return absl::UnavailableError("the stream is broken"); }
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context&) override {
    if (answers_.empty() && !end_.ok()) co_return end_;
    if (answers_.empty()) co_return std::nullopt;
    std::string next = std::move(answers_.front());
    answers_.pop_front();
    co_return std::optional<std::string>(std::move(next));
  }
  const PeerIdentity& peer() const override { return peer_; }

 private:
  std::deque<std::string> answers_;
  absl::Status end_;
  PeerIdentity peer_;
};

class OneNode : public Transport {
 public:
  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context&, std::string, std::string method) override {
    if (!method.ends_with("/ListNodes")) co_return std::make_unique<EndedStream>(answers, end);
    kpb::ListNodesResponse nodes;
    nodes.add_nodes()->mutable_record()->set_node_id(3);
    co_return std::make_unique<EndedStream>(std::deque<std::string>{nodes.SerializeAsString()}, absl::OkStatus());
  }
  void Handle(std::string, Handler) override {}
  absl::StatusOr<int> Listen(const std::string&) override { return absl::UnimplementedError("a client's"); }
  Task<void> Shutdown(Duration) override { co_return; }

  std::deque<std::string> answers;
  absl::Status end;
};

class NodeAdminTest : public testing::Test {
 protected:
  absl::Status Drain(std::vector<uint64_t>* seen) {
    NodeAdmin admin(&node_, {"n3"});
    auto drain = [&](Context ctx) -> Task<absl::Status> { co_return co_await admin.Drain(ctx, 3, [seen](uint64_t leases) { seen->push_back(leases); }); };
    return sim_.Run(process_, drain, std::chrono::seconds(10));
  }

  Simulation sim_{1};
  SimProcess* process_ = sim_.AddProcess("cli");
  OneNode node_;
};

TEST_F(NodeAdminTest, ANodeThatHasNothingToDrainIsDoneBeforeTheRequestHasEnded) {
  node_.answers.push_back(kpb::DrainProgress().SerializeAsString());
  std::vector<uint64_t> seen;
  absl::Status drained = Drain(&seen);
  EXPECT_TRUE(drained.ok()) << drained;
  EXPECT_EQ(seen, std::vector<uint64_t>{0});
}

TEST_F(NodeAdminTest, WhatTheNodeEndedWithSaysMoreThanABrokenStream) {
  std::vector<uint64_t> seen;
  node_.end = absl::FailedPreconditionError("the others have no room");
  EXPECT_EQ(Drain(&seen).message(), "the others have no room");
  node_.end = absl::OkStatus();
  EXPECT_EQ(Drain(&seen).message(), "the stream is broken") << "nobody has said that it is done";
}

}  // namespace
}  // namespace insula::cli

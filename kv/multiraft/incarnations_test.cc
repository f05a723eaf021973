#include "kv/multiraft/incarnations.h"

#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/sim/simulation.h"
#include "gtest/gtest.h"

namespace insula::kv {
namespace {

// One store's log, which is opened again and again.
class IncarnationsTest : public testing::Test {
 protected:
  void Open() {
    log_.reset();
    Runtime runtime = host_->runtime();
    CHECK_OK(runtime.files->CreateDirs("/log"));
    CHECK_OK(runtime.files->SyncDir("/"));
    log_ = *LogEngine::Open(runtime, {.path = "/log", .store_id = 7});
  }
  absl::Status Draw() { return sim_.Run(host_, [&](Context ctx) { return Incarnations::Draw(ctx, log_.get(), host_->runtime().random); }, 10s); }
  void Write(const std::string& key, const std::string& value) {
    LogBatch batch;
    batch.SetMeta(key, value);
    CHECK_OK(sim_.Run(host_, [&](Context ctx) { return log_->AppendAndWait(ctx, std::move(batch)); }, 10s));
  }

  Simulation sim_{1};
  SimProcess* host_ = sim_.AddProcess("n1");
  std::unique_ptr<LogEngine> log_;
};

TEST_F(IncarnationsTest, IsDrawnOnceAndKept) {
  Open();
  ASSERT_TRUE(Draw().ok());
  const uint64_t own = Incarnations(log_.get()).own();
  EXPECT_NE(own, 0u);
  for (int starts = 0; starts < 3; ++starts) {
    Open();
    ASSERT_TRUE(Draw().ok());
    EXPECT_EQ(Incarnations(log_.get()).own(), own);
  }
}

TEST_F(IncarnationsTest, OthersAreAcceptedAsTheyWereFirstHeard) {
  Open();
  ASSERT_TRUE(Draw().ok());
  {
    Incarnations incarnations(log_.get());
    EXPECT_TRUE(incarnations.Accept(2, 20));
    EXPECT_TRUE(incarnations.Accept(2, 20));
    EXPECT_FALSE(incarnations.Accept(2, 21));
    EXPECT_TRUE(incarnations.Accept(2, 0)) << "of a program that knows of none";
    EXPECT_TRUE(incarnations.Accept(3, 21)) << "another store's";
  }
  Write("something", "that takes along what was to be kept");
  Open();
  Incarnations again(log_.get());
  EXPECT_FALSE(again.Accept(2, 21));
  EXPECT_TRUE(again.Accept(2, 20));
}

TEST_F(IncarnationsTest, WhatDoesNotParseIsDamage) {
  Open();
  Write("incarnation", "x");
  EXPECT_TRUE(absl::IsDataLoss(Draw())) << "a new one would be refused by all others";
}

}  // namespace
}  // namespace insula::kv

// What is told of a batch whose first try may have been applied, whatever becomes of the next ones.
#include "kv/client/dist_sender.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

constexpr char kKey[] = "\xfe" "a";

// One range, on one node unless said otherwise. They answer as the test says.
class Script : public BatchChannel {
 public:
  Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) override {
    if (absl::Status s = co_await ctx.Yield(); !s.ok()) co_return CallResult{.status = s, .maybe_received = false, .response = {}};
    if (address == gone) {
      (void)co_await Sleep(ctx, 5s);
      co_return Unreachable();
    }
    if (batch.requests(0).has_range_lookup()) co_return Lookup(batch.requests(0).range_lookup().key());
    ++tries;
    last = batch;
    asked = address;
    if (answers.empty()) co_return CallResult{.status = absl::OkStatus(), .maybe_received = false, .response = {}};
    auto answer = std::move(answers.front());
    answers.pop_front();
    CallResult result = answer();
    if (Duration time = std::exchange(takes, Duration::zero()); time > Duration::zero()) (void)co_await Sleep(ctx, time);
    co_return result;
  }

  static CallResult Broken() { return {.status = absl::UnavailableError("broken"), .maybe_received = true, .response = {}}; }
  static CallResult Unreachable() { return {.status = absl::UnavailableError("not reached"), .maybe_received = false, .response = {}}; }
  static CallResult FirstLeads() {
    CallResult result;
    result.response.mutable_error()->mutable_not_leaseholder()->set_leaseholder_node(1);
    result.response.mutable_error()->mutable_not_leaseholder()->set_leaseholder_address("n1");
    return result;
  }
  static CallResult Error(const absl::Status& status) {
    CallResult result;
    *result.response.mutable_error() = ToKvError(status);
    return result;
  }

  std::deque<std::function<CallResult()>> answers;
  bool lookups_fail = false;
  int tries = 0;
  uint64_t nodes = 1;
  std::string asked;  // the last time
  std::string gone;   // lets everybody wait
  v1::BatchRequest last;
  Duration takes = Duration::zero();  // the call under way
  std::string cut_at;  // there are two ranges, until somebody looks up the second

 private:
  CallResult Lookup(const std::string& key) const {
    if (lookups_fail) return Error(UnavailableKvError("nobody leads the meta range"));
    CallResult result;
    auto* lookup = result.response.add_responses()->mutable_range_lookup();
    auto* range = lookup->add_ranges();
    range->set_range_id(7);
    range->set_start_key("\xfe");
    range->set_generation(1);
    if (!cut_at.empty()) range->set_generation(key < cut_at ? 1 : 2);
    if (!cut_at.empty() && key < cut_at) range->set_end_key(cut_at);
    for (uint64_t id = 1; id <= nodes; ++id) {
      range->add_replicas()->set_node_id(id);
      auto* node = lookup->add_nodes();
      node->set_node_id(id);
      node->set_address(StrCat("n", id));
    }
    return result;
  }
};

class DistSenderTest : public testing::Test {
 protected:
  static v1::BatchRequest Commit() {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    auto* meta = batch.mutable_header()->mutable_txn()->mutable_meta();
    meta->set_id("0123456789abcdef");
    meta->set_anchor_key(kKey);
    batch.add_requests()->mutable_put()->set_key(kKey);
    auto* end = batch.add_requests()->mutable_end_txn();
    end->set_commit(true);
    end->set_one_phase(true);
    end->set_write_outcome(true);
    return batch;
  }
  v1::BatchResponse Send(v1::BatchRequest batch, Duration limit = 60s) { return loop_.Run(sender_.Send(loop_.ctx().WithTimeout(limit), std::move(batch))); }

  TestLoop loop_;
  SeededRandom random_{1};
  Script node_;
  DistSender sender_{&loop_, &random_, &node_, {.bootstrap = {"n1"}, .trouble_limit = 2s}};
};

TEST_F(DistSenderTest, ATryThatMayHaveBeenAppliedStaysOpenWhenItsRangeIsNotFoundAgain) {
  for (Duration limit : {60s, 1s}) {
    node_.lookups_fail = false;
    node_.answers.push_back(&Script::Broken);
    node_.answers.push_back([this] {
      node_.lookups_fail = true;
      return Script::Error(RangeMismatchError({}, "it was split"));
    });
    auto response = Send(Commit(), limit);
    EXPECT_TRUE(response.error().has_ambiguous()) << response.ShortDebugString();
  }
}

TEST_F(DistSenderTest, ATryThatNobodyReceivedIsNoReasonForDoubt) {
  node_.answers.push_back(&Script::Unreachable);
  node_.answers.push_back([this] {
    node_.lookups_fail = true;
    return Script::Error(RangeMismatchError({}, "it was split"));
  });
  auto response = Send(Commit());
  EXPECT_TRUE(response.error().has_unavailable()) << response.ShortDebugString();
}

TEST_F(DistSenderTest, ACommitThatIsRefusedAfterATryThatMayHaveBeenAppliedIsOpen) {
  node_.answers.push_back(&Script::Broken);
  node_.answers.push_back([] { return Script::Error(TxnAbortedError("somebody pushed it")); });
  auto response = Send(Commit());
  EXPECT_TRUE(response.error().has_ambiguous()) << response.ShortDebugString();
  node_.answers.push_back([] { return Script::Error(TxnAbortedError("somebody pushed it")); });
  response = Send(Commit());
  EXPECT_TRUE(response.error().has_txn_aborted()) << response.ShortDebugString();
}

TEST_F(DistSenderTest, WhatCannotBeToldFromItsRepetitionIsNotRepeated) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.add_requests()->mutable_increment()->set_key(kKey);
  batch.mutable_requests(0)->mutable_increment()->set_by(1);
  node_.answers.push_back(&Script::Broken);
  auto response = Send(batch);
  EXPECT_TRUE(response.error().has_ambiguous()) << response.ShortDebugString();
  EXPECT_EQ(node_.tries, 1);
}

// Else the parts of one scan would be two scans of one range, each with the limit, and what the first left were forgotten.
TEST_F(DistSenderTest, ARequestHasOnePartInARangeThatIsMergedWhileItIsTakenApart) {
  node_.cut_at = "\xfe" "m";
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_max_rows(2);
  auto* scan = batch.add_requests()->mutable_scan();
  scan->set_key(kKey);
  scan->set_end_key("\xfe" "z");
  node_.answers.push_back([] {
    CallResult result;
    result.response.add_responses()->mutable_scan()->mutable_resume()->set_key("\xfe" "c");
    return result;
  });
  auto response = Send(batch);
  EXPECT_EQ(node_.tries, 1);
  ASSERT_EQ(node_.last.requests_size(), 1);
  EXPECT_EQ(node_.last.requests(0).scan().key(), kKey);
  EXPECT_EQ(node_.last.requests(0).scan().end_key(), "\xfe" "z");
  ASSERT_EQ(response.responses_size(), 1);
  EXPECT_EQ(response.responses(0).scan().resume().key(), "\xfe" "c");
}

// A host that is gone refuses nothing: each try lasts until somebody gives it up.
TEST_F(DistSenderTest, WhoServedIsAskedFirstTheNextTime) {
  node_.nodes = 3;
  node_.answers.push_back(&Script::Unreachable);
  node_.answers.push_back(&Script::Unreachable);
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n3");
  node_.tries = 0;
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n3");
  EXPECT_EQ(node_.tries, 1);
}

// Nor does a range that this client has not asked for since wait for it.
TEST_F(DistSenderTest, WhoLetOthersWaitIsAskedLastForAWhile) {
  node_.nodes = 3;
  node_.answers.push_back([this] {
    node_.takes = 5s;
    return Script::Unreachable();
  });
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n2");
  sender_.cache().SetLeaseholder(7, 1);
  node_.tries = 0;
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n2") << "n1 was said to lead";
  EXPECT_EQ(node_.tries, 1);
  // The others name it still, and are asked again until they know better.
  node_.gone = "n1";
  for (int i = 0; i < 2; ++i) node_.answers.push_back(&Script::FirstLeads);
  node_.tries = 0;
  const MonoTime before = loop_.Now();
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.tries, 3);
  EXPECT_NE(node_.asked, "n1");
  EXPECT_LT(loop_.Now() - before, 1s);
  loop_.RunFor(4s);
  node_.gone.clear();
  sender_.cache().SetLeaseholder(7, 1);
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n1");
}

// One long call that broke: it may be there all the time, and nobody else leads.
TEST_F(DistSenderTest, WhoIsNamedAsTheLeaseholderIsAskedWhetherHeIsBack) {
  node_.nodes = 3;
  node_.answers.push_back([this] {
    node_.takes = 5s;
    return Script::Unreachable();
  });
  node_.answers.push_back(&Script::FirstLeads);
  const MonoTime before = loop_.Now();
  EXPECT_FALSE(Send(Commit()).has_error());
  EXPECT_EQ(node_.asked, "n1");
  EXPECT_EQ(node_.tries, 3);
  EXPECT_LT(loop_.Now() - before, 5100ms);
}

}  // namespace
}  // namespace insula::kv

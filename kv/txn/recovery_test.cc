// A push that meets a staged commit, while somebody else settles it.
#include "kv/txn/recovery.h"

#include <gtest/gtest.h>

#include <utility>

#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

// Where a record is. It is STAGING when it is pushed first; before the pusher's recovery arrives, it is settled and forgotten.
class ForgottenRecord : public Sender {
 public:
  Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) override {
    v1::BatchResponse response;
    if (!(co_await ctx.Yield()).ok()) co_return response;
    for (const v1::Request& request : batch.requests()) {
      v1::Response* answer = response.add_responses();
      if (request.has_query_intent()) answer->mutable_query_intent();
      if (request.has_recover_txn()) {
        answer->mutable_recover_txn()->mutable_txn()->set_status(v1::COMMITTED);  // so much the outcome tells
      } else if (request.has_push_txn()) {
        v1::Transaction* pushee = answer->mutable_push_txn()->mutable_pushee();
        pushee->mutable_meta()->set_id("A");
        pushee->set_status(++pushes == 1 ? v1::STAGING : v1::ABORTED);
        if (pushes == 1) pushee->add_in_flight()->set_key("k");
      }
    }
    co_return response;
  }

  int pushes = 0;
};

// Nobody can tell which of the transaction's writes a savepoint took back: what is met of it now goes.
TEST(PushTxn, WhatIsMetOfACommitThatIsForgottenIsNotCommitted) {
  TestLoop loop;
  ForgottenRecord record;
  auto pushee = loop.Run(PushTxn(loop.ctx(), record, v1::PushTxnRequest()));
  ASSERT_TRUE(pushee.ok()) << pushee.status();
  EXPECT_EQ(pushee->status(), v1::ABORTED);
  EXPECT_EQ(record.pushes, 2);
}

}  // namespace
}  // namespace insula::kv

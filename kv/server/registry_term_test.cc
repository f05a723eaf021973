#include "kv/server/registry_term.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include "kv/api/testing/memory_database.h"
#include "kv/api/testing/test_loop.h"
#include "kv/server/tenant_store.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

// One table, and nodes that lead under leases of their own.
class RegistryTermTest : public testing::Test {
 protected:
  struct Node {
    Node(RegistryTermTest* test, uint64_t lease) : lease(lease), term(&test->database_, [this] { return this->lease; }), store(&test->database_, &term, &test->loop_.clock()) {}
    uint64_t lease;
    RegistryTerm term;
    TenantStore store;
  };
  absl::Status Establish(Node& node) { return loop_.Run(node.term.Establish(loop_.ctx())); }
  absl::StatusOr<TenantRecord> Create(Node& node, const std::string& name) {
    pb::CreateTenantRequest request;
    request.set_name(name);
    request.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$a:b");
    return loop_.Run(node.store.Create(loop_.ctx(), request));
  }
  absl::StatusOr<TenantRecord> Suspend(Node& node, TenantRecord record) {
    record.set_state(pb::SUSPENDED);
    record.set_generation(record.generation() + 1);
    return loop_.Run(node.store.Update(loop_.ctx(), record, record.revision()));
  }

  TestLoop loop_;
  MemoryDatabase database_;
};

TEST_F(RegistryTermTest, WhoeverDoesNotLeadChangesNothing) {
  Node none(this, 0), leader(this, 3);
  EXPECT_TRUE(absl::IsUnavailable(Establish(none)));
  EXPECT_TRUE(absl::IsUnavailable(Create(none, "acme").status()));
  ASSERT_TRUE(Create(leader, "acme").ok()) << "without a word before";
  EXPECT_EQ(loop_.Run(leader.store.List(loop_.ctx()))->size(), 1u);
}

TEST_F(RegistryTermTest, AfterALaterLeaderNoEarlierOneChangesAnything) {
  Node first(this, 3), second(this, 5);
  TenantRecord acme = *Create(first, "acme");
  ASSERT_TRUE(Establish(second).ok());
  EXPECT_TRUE(absl::IsUnavailable(Suspend(first, acme).status()));
  EXPECT_TRUE(absl::IsUnavailable(Establish(first)));
  ASSERT_TRUE(Suspend(second, acme).ok());
  first.lease = 8;  // it leads again
  EXPECT_TRUE(Create(first, "other").ok());
  EXPECT_TRUE(absl::IsUnavailable(Create(second, "third").status()));
}

TEST_F(RegistryTermTest, WhatIsUnderWayWhenTheLeadMovesIsRefusedOrSeen) {
  for (bool moves : {false, true}) {
    SCOPED_TRACE(moves);
    Node first(this, moves ? 13u : 3u), second(this, moves ? 15u : 5u);
    ASSERT_TRUE(Establish(first).ok());
    auto change = database_.Begin({.isolation = Isolation::kSerializable});
    ASSERT_TRUE(loop_.Run(first.term.Check(loop_.ctx(), *change)).ok());
    change->Put("row", moves ? "too late" : "in time");
    if (moves) ASSERT_TRUE(Establish(second).ok());
    absl::Status committed = loop_.Run(change->Commit(loop_.ctx()));
    EXPECT_EQ(committed.ok(), !moves) << committed;
    ASSERT_TRUE(Establish(second).ok());
    auto look = database_.Begin({});
    EXPECT_EQ(loop_.Run(look->Get(loop_.ctx(), "row")).value(), "in time") << "what the second leader's watchers begin with";
  }
}

TEST(WasRefused, OnlyWhatSaysSoForCertain) {
  EXPECT_TRUE(WasRefused(absl::NotFoundError("no such tenant")));
  EXPECT_TRUE(WasRefused(absl::AbortedError("another revision")));
  EXPECT_FALSE(WasRefused(absl::OkStatus()));
  EXPECT_FALSE(WasRefused(absl::UnavailableError("the node went away")));
  EXPECT_FALSE(WasRefused(absl::CancelledError("the caller hung up")));
  EXPECT_FALSE(WasRefused(absl::DeadlineExceededError("too late")));
}

}  // namespace
}  // namespace insula::kv

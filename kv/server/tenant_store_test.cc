#include "kv/server/tenant_store.h"

#include <gtest/gtest.h>

#include "kv/api/testing/memory_database.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

class TenantStoreTest : public testing::Test {
 protected:
  template <typename T>
  T Run(Task<T> task) {
    return loop_.Run(std::move(task));
  }
  pb::CreateTenantRequest Request(std::string name, std::string request_id) {
    pb::CreateTenantRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    request.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$a:b");
    return request;
  }

  TestLoop loop_;
  Context ctx_ = Context::Background(&loop_);
  MemoryDatabase database_;
  RegistryTerm term_{&database_, [] { return 1; }};
  TenantStore store_{&database_, &term_, &loop_.clock()};
};

TEST_F(TenantStoreTest, CreatesWithFreshIdsAndFindsByEveryForm) {
  auto a = Run(store_.Create(ctx_, Request("acme", "1")));
  auto b = Run(store_.Create(ctx_, Request("other", "2")));
  ASSERT_TRUE(a.ok()) << a.status();
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(a->id(), 2u);
  EXPECT_EQ(b->id(), 3u);
  EXPECT_NE(a->keyspace_id(), b->keyspace_id());
  EXPECT_EQ(a->state(), pb::SUSPENDED);
  for (const char* name : {"acme", "acme-2", "2"}) EXPECT_EQ(Run(store_.Get(ctx_, name))->id(), 2u) << name;
  for (const char* name : {"acme-3", "nobody", "9", ""}) EXPECT_EQ(Run(store_.Get(ctx_, name)).status().code(), absl::StatusCode::kNotFound) << name;
  EXPECT_EQ(Run(store_.List(ctx_))->size(), 2u);
}

TEST_F(TenantStoreTest, ARepeatedCreateAnswersTheSame) {
  auto a = Run(store_.Create(ctx_, Request("acme", "same")));
  auto b = Run(store_.Create(ctx_, Request("acme", "same")));
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(a->id(), b->id());
  EXPECT_EQ(Run(store_.List(ctx_))->size(), 1u);
}

TEST_F(TenantStoreTest, ANameThatIsNotUniqueMustBeQualified) {
  ASSERT_TRUE(Run(store_.Create(ctx_, Request("acme", "1"))).ok());
  ASSERT_TRUE(Run(store_.Create(ctx_, Request("acme", "2"))).ok());
  EXPECT_EQ(Run(store_.Get(ctx_, "acme")).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Run(store_.Get(ctx_, "acme-3"))->id(), 3u);
}

TEST_F(TenantStoreTest, RefusesMalformedRequests) {
  EXPECT_EQ(Run(store_.Create(ctx_, Request("Bad", "1"))).status().code(), absl::StatusCode::kInvalidArgument);
  auto plain = Request("good", "1");
  plain.set_scram_verifier("password");
  EXPECT_EQ(Run(store_.Create(ctx_, plain)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TenantStoreTest, UpdatesOnlyFromTheRevisionSeen) {
  auto record = *Run(store_.Create(ctx_, Request("acme", "1")));
  record.set_state(pb::ACTIVE);
  record.set_generation(1);
  auto updated = Run(store_.Update(ctx_, record, record.revision()));
  ASSERT_TRUE(updated.ok());
  EXPECT_GT(updated->revision(), record.revision());
  EXPECT_EQ(Run(store_.Update(ctx_, record, record.revision())).status().code(), absl::StatusCode::kAborted);
  record = *updated;
  record.set_generation(0);
  EXPECT_EQ(Run(store_.Update(ctx_, record, record.revision())).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TenantStoreTest, APlanIsCompletedChangedAndTakenAway) {
  auto record = *Run(store_.Create(ctx_, Request("acme", "1")));
  EXPECT_FALSE(record.has_plan()) << "unlimited";
  pb::SetPlanRequest request;
  request.set_cluster("acme");
  request.mutable_plan()->set_rate_ru(500);
  auto set = Run(store_.SetPlan(ctx_, request));
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->plan().burst_ru(), 5000);
  EXPECT_EQ(set->plan().baseline_ru(), 50);
  EXPECT_GT(set->revision(), record.revision());
  request.mutable_plan()->set_burst_ru(499);
  auto refused = Run(store_.SetPlan(ctx_, request));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.status().message(), "a plan's burst of 499 RU must not be less than a second of its rate, 500");
  // Nor does it come in by the other door.
  record = *Run(store_.Get(ctx_, "acme"));
  EXPECT_EQ(record.plan().rate_ru(), 500);
  record.mutable_plan()->set_rate_ru(-500);
  EXPECT_EQ(Run(store_.Update(ctx_, record, record.revision())).status().code(), absl::StatusCode::kInvalidArgument);
  request.clear_plan();
  auto gone = Run(store_.SetPlan(ctx_, request));
  ASSERT_TRUE(gone.ok());
  EXPECT_FALSE(gone->has_plan());
  request.set_cluster("nobody");
  EXPECT_EQ(Run(store_.SetPlan(ctx_, request)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TenantStoreTest, PurgeTakesTheDataAndTheNameAndNothingElse) {
  auto record = *Run(store_.Create(ctx_, Request("acme", "1")));
  auto other = *Run(store_.Create(ctx_, Request("other", "2")));
  auto txn = database_.Begin({});
  for (int i = 0; i < 5000; ++i) txn->Put(KeyspacePrefix(record.keyspace_id()) + std::to_string(i), "x");
  txn->Put(KeyspacePrefix(other.keyspace_id()) + "k", "x");
  ASSERT_TRUE(Run(txn->Commit(ctx_)).ok());
  EXPECT_EQ(Run(store_.Purge(ctx_, record.id())).code(), absl::StatusCode::kFailedPrecondition);
  record.set_state(pb::DROPPING);
  ASSERT_TRUE(Run(store_.Update(ctx_, record, record.revision())).ok());
  ASSERT_TRUE(Run(store_.Purge(ctx_, record.id())).ok());
  EXPECT_TRUE(database_.Dump(KeyspacePrefix(record.keyspace_id())).empty());
  EXPECT_EQ(database_.Dump(KeyspacePrefix(other.keyspace_id())).size(), 1u);
  EXPECT_EQ(Run(store_.Get(ctx_, "acme")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Run(store_.Purge(ctx_, record.id())).ok());
  EXPECT_EQ(Run(store_.Create(ctx_, Request("acme", "3")))->id(), 4u);  // ids are never used again
}

}  // namespace
}  // namespace insula::kv

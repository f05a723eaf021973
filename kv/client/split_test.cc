// Splits under clients that know nothing of them, over ranges without consensus in one process (kv/replica/replica_split.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/replica/aborted.h"

namespace insula::kv {
namespace {

std::string K(std::string_view key) { return StrCat("\xfe", key); }

class SplitTest : public testing::Test {
 protected:
  ~SplitTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  v1::BatchResponse Try(ClientDatabase& db, const v1::BatchRequest& batch) { return loop_.Run(db.sender().Send(ctx_, batch)); }
  void SplitAt(std::string key, ClientDatabase& db) {
    v1::BatchResponse response = Try(db, SplitBatch(std::move(key)));
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  std::string Get(Txn& txn, std::string_view key) {
    auto value = loop_.Run(txn.Get(ctx_, K(key), {}));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() && *value ? **value : "(none)";
  }
  std::string Read(std::string_view key) { return Get(*db_->Begin({}), key); }
  void Put(std::string_view key, std::string value) {
    auto txn = db_->Begin({});
    txn->Put(K(key), std::move(value));
    EXPECT_EQ(Commit(*txn), "");
  }
  // The SQLSTATE, or nothing.
  std::string Commit(Txn& txn) {
    absl::Status status = loop_.Run(txn.Commit(ctx_));
    return status.ok() ? "" : ToPgError(status).sqlstate;
  }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {K("g"), K("p")}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

// The client still takes both keys for one range's, whose leaseholder cannot check the other one again: it serves it no more.
TEST_F(SplitTest, ACommitWhoseReadsWereSplitOffMeanwhileChecksThemWhereTheyAre) {
  Put("b", "0");
  Put("d", "0");
  auto other = cluster_.NewDatabase();
  auto first = db_->Begin({});
  EXPECT_EQ(Get(*first, "b") + Get(*first, "d"), "00");
  first->Put(K("b"), "1");
  SplitAt(K("c"), *other);
  auto second = other->Begin({});
  EXPECT_EQ(Get(*second, "b") + Get(*second, "d"), "00");  // moves the first one's write up
  second->Put(K("d"), "1");
  EXPECT_EQ(Commit(*first), "");
  EXPECT_EQ(Commit(*second), "40001") << "each saw the other's key unchanged";
}

// A split makes records of transactions that began before it impossible, so the first who meets one of their intents aborts them.
TEST_F(SplitTest, ATransactionThatWasAbortedMeanwhileDoesNotReadOnWithoutWhatItWrote) {
  Put("d", "0");
  auto other = cluster_.NewDatabase();
  auto cleared = db_->Begin({});
  ASSERT_TRUE(loop_.Run(cleared->DeleteRange(ctx_, K("d"), K("e"))).ok());
  EXPECT_EQ(Get(*cleared, "d"), "(none)");
  SplitAt(K("c"), *other);
  EXPECT_EQ(Get(*other->Begin({}), "d"), "0");
  auto present = loop_.Run(cleared->InsertMany(ctx_, {{K("d"), "1"}}));
  ASSERT_FALSE(present.ok()) << "a row is there that it has deleted";
  EXPECT_EQ(ToPgError(present.status()).sqlstate, "40001");
  EXPECT_EQ(Read("d"), "0");
}

// So do the next leaseholder, and whoever gets the keys by another split.
TEST_F(SplitTest, ThatATransactionWasAbortedIsKnownAfterwards) {
  for (const bool split : {false, true}) {
    const std::string key = split ? "d" : "s";
    Put(key, "0");
    auto other = cluster_.NewDatabase();
    auto cleared = db_->Begin({});
    ASSERT_TRUE(loop_.Run(cleared->DeleteRange(ctx_, K(key), K(key + "~"))).ok());
    cluster_.group_of(K(key)).ChangeLease();
    EXPECT_EQ(Get(*other->Begin({}), key), "0");
    if (split) {
      SplitAt(K("d"), *other);
    } else {
      cluster_.group_of(K(key)).ChangeLease();
    }
    auto present = loop_.Run(cleared->InsertMany(ctx_, {{K(key), "1"}}));
    ASSERT_FALSE(present.ok()) << "a row is there that it has deleted";
    EXPECT_EQ(ToPgError(present.status()).sqlstate, "40001");
    EXPECT_EQ(Read(key), "0");
  }
}

TEST_F(SplitTest, AbortedTransactionsAreForgottenAfterAWhile) {
  LocalGroup& range = cluster_.group_of(K("d"));
  auto noted = [&] { return LoadAborted(*range.engine().NewReader(), range.range_id())->size(); };
  auto other = cluster_.NewDatabase();
  size_t most = 0;
  Put("d", "0");
  for (int i = 0; i < 600; ++i) {
    auto loser = db_->Begin({});
    ASSERT_TRUE(loop_.Run(loser->DeleteRange(ctx_, K("d"), K("e"))).ok());
    range.ChangeLease();
    EXPECT_EQ(Get(*other->Begin({}), "d"), "0");
    most = std::max(most, noted());
    loop_.RunFor(1s);
  }
  EXPECT_GT(most, 60u);
  EXPECT_LT(most, 400u);
}

TEST_F(SplitTest, ASplitIsFollowed) {
  Put("b", "1");
  Put("d", "1");
  SplitAt(K("c"), *db_);
  EXPECT_NE(cluster_.group_of(K("b")).range_id(), cluster_.group_of(K("d")).range_id());
  auto txn = db_->Begin({});
  EXPECT_EQ(Get(*txn, "b") + Get(*txn, "d"), "11");
  txn->Put(K("b"), "2");
  txn->Put(K("d"), "2");
  EXPECT_EQ(Commit(*txn), "");
  EXPECT_EQ(Read("b") + Read("d"), "22");
  loop_.RunFor(1s);
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  auto fresh = cluster_.NewDatabase();
  auto located = loop_.Run(fresh->sender().Locate(ctx_, K("d")));
  ASSERT_TRUE(located.ok());
  EXPECT_EQ(located->start_key(), K("c"));
}

// Both rows, and what is known without a look is not looked up: keyspaces are split off by the thousand.
TEST_F(SplitTest, ASplitWritesTwoRowsOfAddresses) {
  std::map<RangeId, int> entries;
  cluster_.on_applied = [&](LocalGroup& group) { ++entries[group.range_id()]; };
  for (const char* key : {"f", "e", "d", "c"}) SplitAt(K(key), *db_);
  loop_.RunFor(1s);
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  EXPECT_EQ(entries[keys::kMetaRange], 4 * 2);
  EXPECT_EQ(entries[cluster_.group_of(K("b")).range_id()], 4 * 2) << "the split, and that its address is written";
  auto fresh = cluster_.NewDatabase();
  for (const char* key : {"c", "d", "e", "f"}) {
    auto located = loop_.Run(fresh->sender().Locate(ctx_, K(key)));
    ASSERT_TRUE(located.ok());
    EXPECT_EQ(located->start_key(), K(key));
    EXPECT_EQ(located->end_key(), K(std::string(1, static_cast<char>(*key + 1))));
  }
}

// A replica that is asked to split comes to lead first, and applies what the former leaders did: a split, here.
TEST_F(SplitTest, TheRangeIsLookedAtOnceThisReplicaLeadsIt) {
  Put("i", "1");
  Put("k", "1");
  LocalGroup& group = cluster_.group_of(K("i"));
  const v1::RangeDescriptor before = group.descriptor();
  const mvcc::Stats stats = group.stats();
  group.LeadLater([&] {
    v1::RangeDescriptor shorter = before;
    shorter.set_end_key(K("k"));
    shorter.set_generation(before.generation() + 1);
    group.set_descriptor(shorter);
  });
  v1::BatchRequest split = SplitBatch(K("m"));
  split.mutable_header()->set_range_id(before.range_id());
  v1::BatchResponse response = loop_.Run(ReplicaOf(group)->Execute(ctx_, split));
  EXPECT_TRUE(response.error().has_range_mismatch()) << response.ShortDebugString();
  EXPECT_EQ(group.descriptor().end_key(), K("k"));
  EXPECT_EQ(group.stats().versions, stats.versions) << "nothing was counted off";
}

}  // namespace
}  // namespace insula::kv

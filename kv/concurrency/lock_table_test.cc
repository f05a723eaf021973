#include "kv/concurrency/lock_table.h"

#include <gtest/gtest.h>

#include "base/runtime/random.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

using Kind = LockTable::ScanResult::Kind;
constexpr auto kIgnore = [](std::string_view) {};

v1::TxnMeta Txn(std::string id, uint64_t write_ts = 10) {
  v1::TxnMeta meta;
  meta.set_id(id);
  meta.set_anchor_key(StrCat("anchor-", id));
  meta.set_write_ts(write_ts);
  return meta;
}

class LockTableTest : public testing::Test {
 protected:
  std::unique_ptr<LockTable::Request> Locking(const v1::TxnMeta* txn, std::string_view key, LockStrength access = LockStrength::kExclusive,
                                              v1::WaitPolicy policy = v1::WAIT_BLOCK) {
    return table_.NewRequest(txn, policy, {{.key = key, .access = access}});
  }
  std::unique_ptr<LockTable::Request> Reading(const v1::TxnMeta* txn, std::string_view key, uint64_t ts) {
    return table_.NewRequest(txn, v1::WAIT_BLOCK, {{.key = key, .ts = Timestamp{ts}}});
  }
  Kind Scan(const std::unique_ptr<LockTable::Request>& r) {
    auto kind = table_.Scan(r.get()).kind;
    table_.VerifyInvariants();
    return kind;
  }
  void Release(std::string_view key, std::string_view txn) {
    table_.Release(key, "", txn, kIgnore);
    table_.VerifyInvariants();
  }

  LockTable table_;
  v1::TxnMeta a_ = Txn("A"), b_ = Txn("B"), c_ = Txn("C");
};

TEST_F(LockTableTest, AnExclusiveLockStopsOtherLockersButNotPlainReads) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto read = Reading(&b_, "k", 99);
  EXPECT_EQ(Scan(read), Kind::kFree);
  auto own = Locking(&a_, "k");
  EXPECT_EQ(Scan(own), Kind::kFree);
  auto other = Locking(&b_, "k", LockStrength::kShared);
  EXPECT_EQ(Scan(other), Kind::kWait);
  auto blocker = table_.BlockerOf(*other);
  ASSERT_TRUE(blocker.has_value());
  EXPECT_EQ(blocker->txn.id(), "A");
  EXPECT_TRUE(blocker->holds);
  Release("k", "A");
  EXPECT_TRUE(other->signalled());
  EXPECT_EQ(Scan(other), Kind::kFree);
}

TEST_F(LockTableTest, SharedLocksGoTogetherAndStopAnExclusiveOne) {
  table_.Acquire("k", a_, LockStrength::kShared, Timestamp{5});
  auto b = Locking(&b_, "k", LockStrength::kShared);
  EXPECT_EQ(Scan(b), Kind::kFree);
  table_.Acquire("k", b_, LockStrength::kShared, Timestamp{6});
  b.reset();
  auto c = Locking(&c_, "k");
  EXPECT_EQ(Scan(c), Kind::kWait);
  Release("k", "A");
  EXPECT_FALSE(c->signalled());
  Release("k", "B");
  EXPECT_TRUE(c->signalled());
}

TEST_F(LockTableTest, WaitersAreServedFirstComeFirstServed) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto b = Locking(&b_, "k"), c = Locking(&c_, "k");
  EXPECT_EQ(Scan(c), Kind::kWait);  // c asks first, but b arrived first
  EXPECT_EQ(Scan(b), Kind::kWait);
  Release("k", "A");
  EXPECT_TRUE(b->signalled());
  EXPECT_FALSE(c->signalled());
  EXPECT_EQ(table_.BlockerOf(*c)->txn.id(), "B");
  EXPECT_FALSE(table_.BlockerOf(*c)->holds) << "B only claims the key";
  EXPECT_EQ(Scan(b), Kind::kFree);
  b.reset();  // it took nothing
  EXPECT_TRUE(c->signalled());
}

TEST_F(LockTableTest, AnIntentStopsReadsAboveIt) {
  v1::TxnMeta holder = Txn("A", 40);
  table_.AddDiscovered("k", holder, /*intent=*/true, LockStrength::kExclusive);
  auto below = Reading(&b_, "k", 39);
  EXPECT_EQ(Scan(below), Kind::kFree);
  auto above = Reading(&b_, "k", 40);
  EXPECT_EQ(Scan(above), Kind::kWait);
  EXPECT_TRUE(table_.BlockerOf(*above)->intent);
  EXPECT_EQ(table_.BlockerOf(*above)->push_to, Timestamp{41});
  table_.OnIntentMoved("k", "A");
  EXPECT_TRUE(above->signalled());
  EXPECT_EQ(Scan(above), Kind::kFree);
}

TEST_F(LockTableTest, PoliciesErrorAndSkipDoNotQueue) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto nowait = Locking(&b_, "k", LockStrength::kExclusive, v1::WAIT_ERROR);
  EXPECT_EQ(Scan(nowait), Kind::kConflict);
  EXPECT_EQ(table_.BlockerOf(*nowait)->txn.id(), "A");
  auto skip = Locking(&b_, "k", LockStrength::kExclusive, v1::WAIT_SKIP_LOCKED);
  EXPECT_EQ(Scan(skip), Kind::kFree);
  EXPECT_TRUE(table_.IsLocked(*skip, "k", LockStrength::kExclusive));
  EXPECT_FALSE(table_.IsLocked(*skip, "other", LockStrength::kExclusive));
  EXPECT_EQ(table_.DebugString(), "k: A/exclusive\n");
}

TEST_F(LockTableTest, AnUpgradeWaitsForOtherSharersAndIgnoresClaims) {
  table_.Acquire("k", a_, LockStrength::kShared, Timestamp{5});
  table_.Acquire("k", b_, LockStrength::kShared, Timestamp{5});
  auto waiting = Locking(&c_, "k");
  EXPECT_EQ(Scan(waiting), Kind::kWait);
  auto upgrade = Locking(&a_, "k");
  EXPECT_EQ(Scan(upgrade), Kind::kWait);
  Release("k", "B");
  EXPECT_TRUE(upgrade->signalled()) << "C's claim waits for A itself";
  EXPECT_FALSE(waiting->signalled());
}

TEST_F(LockTableTest, ARequestWithoutTransactionHasNoClaim) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto plain = Locking(nullptr, "k");
  EXPECT_EQ(Scan(plain), Kind::kWait);
  auto b = Locking(&b_, "k");
  EXPECT_EQ(Scan(b), Kind::kWait);
  Release("k", "A");
  EXPECT_TRUE(plain->signalled());
  EXPECT_TRUE(b->signalled());
}

TEST_F(LockTableTest, HeldSinceIsTheFirstTimeWithoutABreak) {
  table_.Acquire("k", a_, LockStrength::kShared, Timestamp{5});
  EXPECT_FALSE(table_.HeldSince("k", "A", LockStrength::kExclusive).has_value());
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{7});
  EXPECT_EQ(table_.HeldSince("k", "A", LockStrength::kExclusive), Timestamp{5});
  Release("k", "A");
  EXPECT_FALSE(table_.HeldSince("k", "A", LockStrength::kShared).has_value());
  EXPECT_EQ(table_.key_count(), 0u);
  EXPECT_EQ(table_.txn_count(), 0u);
}

TEST_F(LockTableTest, ReleaseTellsOfUnreplicatedLocksOnly) {
  table_.Acquire("a", a_, LockStrength::kExclusive, Timestamp{5});
  table_.Acquire("b", a_, LockStrength::kExclusive, Timestamp{5});
  table_.AddDiscovered("c", a_, true, LockStrength::kExclusive);
  table_.Acquire("d", a_, LockStrength::kExclusive, Timestamp{5});
  std::string released;
  table_.Release("a", "d", "A", [&](std::string_view key) { StrAppend(&released, key); });
  EXPECT_EQ(released, "ab");
  EXPECT_EQ(table_.DebugString(), "d: A/exclusive\n");
}

TEST_F(LockTableTest, AWrittenKeyStaysOnlyWhileSomebodyWaits) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  table_.OnReplicated("k", a_, true, LockStrength::kExclusive);
  EXPECT_EQ(table_.key_count(), 0u);
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto b = Locking(&b_, "k");
  EXPECT_EQ(Scan(b), Kind::kWait);
  table_.OnReplicated("k", a_, true, LockStrength::kExclusive);
  EXPECT_EQ(table_.DebugString(), "k: A/intent@10 | r1/exclusive*\n");
  EXPECT_EQ(table_.ReplicatedKeysOf("A", 10), std::vector<std::string>{"k"});
}

TEST_F(LockTableTest, AMovedIntentIsForgottenAndALockBesideItStays) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto locker = Locking(&b_, "k");
  EXPECT_EQ(Scan(locker), Kind::kWait);
  table_.OnReplicated("k", a_, true, LockStrength::kExclusive);
  auto reader = Reading(&c_, "k", 10);
  EXPECT_EQ(Scan(reader), Kind::kWait);
  table_.OnIntentMoved("k", "A");
  EXPECT_TRUE(reader->signalled());
  EXPECT_FALSE(locker->signalled());
}

TEST_F(LockTableTest, ClearForgetsHoldersAndSignalsAll) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{5});
  auto b = Locking(&b_, "k"), c = Locking(&c_, "k");
  EXPECT_EQ(Scan(b), Kind::kWait);
  EXPECT_EQ(Scan(c), Kind::kWait);
  table_.Clear();
  table_.VerifyInvariants();
  EXPECT_TRUE(b->signalled() && c->signalled());
  EXPECT_EQ(table_.txn_count(), 0u);
}

TEST_F(LockTableTest, ASplitTakesItsLocksAlong) {
  table_.Acquire("a", a_, LockStrength::kExclusive, Timestamp{5});
  table_.Acquire("m", a_, LockStrength::kExclusive, Timestamp{6});
  auto b = Locking(&b_, "m");
  EXPECT_EQ(Scan(b), Kind::kWait);
  auto taken = table_.TakeFrom("m");
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].key, "m");
  EXPECT_EQ(taken[0].since, Timestamp{6});
  EXPECT_TRUE(b->signalled());
  table_.VerifyInvariants();
}

// Random requests of few transactions on few keys: the invariants hold throughout, locks are exclusive, and when all transactions
// end, every request gets through.
TEST_F(LockTableTest, RandomRequestsKeepTheInvariants) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SeededRandom random(seed);
    LockTable table;
    std::vector<v1::TxnMeta> txns;
    for (int i = 0; i < 5; ++i) txns.push_back(Txn(StrCat("t", i), 10 + i));
    const std::vector<std::string> keys = {"a", "b", "c", "d", "e", "f"};
    struct Live {
      std::unique_ptr<LockTable::Request> request;
      std::vector<LockSpan> spans;
      const v1::TxnMeta* txn;
    };
    std::vector<Live> live;
    auto finish = [&](Live& r) {  // it was let through: take the locks
      for (const LockSpan& span : r.spans) {
        if (r.txn == nullptr || span.access == LockStrength::kNone || !span.end_key.empty()) continue;
        if (span.access == LockStrength::kExclusive && random.Chance(0.3)) {
          table.OnReplicated(span.key, *r.txn, true, LockStrength::kExclusive);
        } else {
          table.Acquire(span.key, *r.txn, span.access, Timestamp{1});
        }
      }
      r.request.reset();
    };
    for (int step = 0; step < 1000; ++step) {
      switch (random.Uniform(5)) {
        case 0:
        case 1: {
          Live r;
          r.txn = random.Chance(0.8) ? &txns[random.Uniform(txns.size())] : nullptr;
          for (uint64_t n = 1 + random.Uniform(2); n > 0; --n) {
            size_t from = random.Uniform(keys.size());
            LockSpan span{.key = keys[from], .access = static_cast<LockStrength>(random.Uniform(3)), .ts = Timestamp{random.Uniform(20)}};
            if (from + 1 < keys.size() && random.Chance(0.3)) span.end_key = keys[from + 1 + random.Uniform(keys.size() - from - 1)];
            r.spans.push_back(span);
          }
          r.request = table.NewRequest(r.txn, v1::WAIT_BLOCK, r.spans);
          if (table.Scan(r.request.get()).kind == Kind::kFree) {
            finish(r);
          } else {
            live.push_back(std::move(r));
          }
          break;
        }
        case 2: {  // a transaction ends
          table.ReleaseAll(txns[random.Uniform(txns.size())].id(), kIgnore);
          break;
        }
        case 3: {  // whoever was signalled goes on
          for (size_t i = 0; i < live.size(); ++i) {
            if (!live[i].request->signalled()) continue;
            if (table.Scan(live[i].request.get()).kind == Kind::kFree) {
              finish(live[i]);
              live.erase(live.begin() + i);
            }
            break;
          }
          break;
        }
        case 4: {  // a waiter gives up
          if (!live.empty() && random.Chance(0.3)) live.erase(live.begin() + random.Uniform(live.size()));
          break;
        }
      }
      table.VerifyInvariants();
    }
    // All transactions end; then every request passes, in some order.
    for (size_t stuck = 0; !live.empty();) {
      for (const auto& txn : txns) table.ReleaseAll(txn.id(), kIgnore);
      size_t before = live.size();
      for (size_t i = 0; i < live.size(); ++i) {
        if (!live[i].request->signalled() || table.Scan(live[i].request.get()).kind != Kind::kFree) continue;
        finish(live[i]);
        live.erase(live.begin() + i);
        break;
      }
      stuck = live.size() == before ? stuck + 1 : 0;
      ASSERT_LT(stuck, 100u) << "seed " << seed << "\n" << table.DebugString();
      table.VerifyInvariants();
    }
    for (const auto& txn : txns) table.ReleaseAll(txn.id(), kIgnore);
    EXPECT_EQ(table.key_count(), 0u) << table.DebugString();
  }
}

}  // namespace
}  // namespace insula::kv

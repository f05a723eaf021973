#include "kv/multiraft/liveness.h"

#include <memory>
#include <string>
#include <tuple>

#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::kv {
namespace {

constexpr uint64_t kMs = 1000;  // in microseconds
Timestamp At(uint64_t ms) { return Timestamp::FromMicros(1'000'000'000 + ms * kMs); }

// Two stores and a wire, by hand.
class LivenessTest : public ::testing::Test {
 protected:
  struct Store {
    LivenessState disk;
    std::unique_ptr<SupportManager> manager;
    std::set<StoreId> changed;
  };

  void Start(StoreId id, uint64_t ms) {
    Store& s = stores_[id];
    s.manager = std::make_unique<SupportManager>(SupportManager::Options{.self = id}, s.disk, At(ms));
    for (StoreId peer : {1, 2}) s.manager->AddPeer(peer);
  }
  // Everything that is under way is written and delivered.
  void Settle(uint64_t ms) {
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& [id, s] : stores_) {
        if (!s.manager) continue;
        auto out = s.manager->TakeOutput();
        s.changed.insert(out.changed.begin(), out.changed.end());
        busy |= out.write || !out.messages.empty();
        if (out.write) {
          out.write->ApplyTo(&s.disk);
          s.manager->Written(out.write->sequence, At(ms));
        }
        for (const auto& m : out.messages) {
          if (stores_[m.to].manager && !cut_) stores_[m.to].manager->Receive(m, At(ms));
        }
      }
    }
  }
  void Run(uint64_t from, uint64_t to) {
    for (uint64_t ms = from; ms <= to; ms += 50) {
      for (auto& [id, s] : stores_) {
        if (!s.manager) continue;
        s.manager->LogSynced(At(ms));
        s.manager->Tick(At(ms));
      }
      Settle(ms);
    }
  }
  SupportManager& M(StoreId id) { return *stores_[id].manager; }

  std::map<StoreId, Store> stores_;
  bool cut_ = false;
};

TEST_F(LivenessTest, StoresComeToSupportEachOtherAndThemselves) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  for (StoreId a : {1, 2}) {
    for (StoreId b : {1, 2}) {
      EXPECT_TRUE(M(a).SupportFor(b).supported) << a << " for " << b;
      EXPECT_EQ(M(b).SupportFrom(a).epoch, M(a).SupportFor(b).epoch);
      EXPECT_GT(M(b).SupportFrom(a).expiration, At(1900));
    }
  }
  EXPECT_EQ(stores_[1].changed, (std::set<StoreId>{1, 2}));
}

TEST_F(LivenessTest, ExtensionIsNotAChange) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  stores_[1].changed.clear();
  Run(1050, 5000);
  EXPECT_TRUE(stores_[1].changed.empty());
}

TEST_F(LivenessTest, ADeadStoreLosesSupportAfterTheInterval) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  const uint64_t epoch = M(1).SupportFor(2).epoch;
  const Timestamp promised = M(2).SupportFrom(1).expiration;
  stores_[2].manager = nullptr;
  stores_[1].changed.clear();
  Run(1050, 2000);
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  EXPECT_GT(promised, At(2000));
  Run(2050, 2400);
  EXPECT_FALSE(M(1).SupportFor(2).supported);
  EXPECT_TRUE(stores_[1].changed.count(2));
  EXPECT_EQ(stores_[1].disk.given[2], (SupportRecord{epoch, true}));
}

TEST_F(LivenessTest, AWithdrawalShowsOnlyWhenItIsDurable) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  stores_[2].manager = nullptr;
  Run(1050, 2000);
  M(1).Tick(At(2300));
  auto out = M(1).TakeOutput();
  ASSERT_TRUE(out.write.has_value());
  EXPECT_TRUE(out.write->given.at(2).withdrawn);
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  M(1).Written(out.write->sequence, At(2310));
  EXPECT_FALSE(M(1).SupportFor(2).supported);
  EXPECT_TRUE(M(1).TakeOutput().changed.count(2));
}

TEST_F(LivenessTest, AfterAPartitionSupportComesBackInANewEpoch) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  const uint64_t before = M(1).SupportFor(2).epoch;
  const uint64_t own = M(1).SupportFor(1).epoch;
  cut_ = true;
  Run(1050, 3000);
  EXPECT_FALSE(M(1).SupportFor(2).supported);
  cut_ = false;
  Run(3050, 4000);
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  EXPECT_GT(M(1).SupportFor(2).epoch, before);
  EXPECT_EQ(M(2).SupportFrom(1).epoch, M(1).SupportFor(2).epoch);
  EXPECT_EQ(M(1).SupportFor(1).epoch, own);  // others' trouble does not touch this pair
}

TEST_F(LivenessTest, ARestartedSupporterKeepsItsPromiseForAnInterval) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  const uint64_t epoch = M(1).SupportFor(2).epoch;
  stores_[2].manager = nullptr;
  stores_[1].manager = nullptr;
  Start(1, 1100);
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  EXPECT_EQ(M(1).SupportFor(2).epoch, epoch);
  Run(1100, 2300);
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  Run(2350, 2900);
  EXPECT_FALSE(M(1).SupportFor(2).supported);
}

TEST_F(LivenessTest, ARestartedRequesterWaitsForItsOldPromiseToEnd) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  const uint64_t epoch = M(1).SupportFor(2).epoch;
  const Timestamp promised = M(2).SupportFrom(1).expiration;
  stores_[2].manager = nullptr;
  Start(2, 1100);
  Run(1100, 2000);
  EXPECT_GT(promised, At(2000));
  EXPECT_EQ(M(1).SupportFor(2).epoch, epoch);
  EXPECT_EQ(M(2).SupportFrom(1).epoch, 0u);
  Run(2050, 2800);
  EXPECT_GT(M(1).SupportFor(2).epoch, epoch);
  EXPECT_EQ(M(2).SupportFrom(1).epoch, M(1).SupportFor(2).epoch);
}

TEST_F(LivenessTest, AStoreWhoseLogDoesNotSyncFallsSilent) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  for (uint64_t ms = 1050; ms <= 4000; ms += 50) {
    M(2).LogSynced(At(ms));
    M(1).Tick(At(ms));
    M(2).Tick(At(ms));
    Settle(ms);
  }
  EXPECT_FALSE(M(2).SupportFor(1).supported);
  EXPECT_FALSE(M(1).SupportFor(1).supported);  // not even by itself
  EXPECT_TRUE(M(1).SupportFor(2).supported);
  EXPECT_TRUE(M(1).WantsLogSync(At(4000)));
  EXPECT_FALSE(M(2).WantsLogSync(At(4000)));
}

TEST_F(LivenessTest, AProcessThatWasPausedReadsItsMailBeforeJudging) {
  Start(1, 0);
  Start(2, 0);
  Run(0, 1000);
  // Store 1 does not run for three seconds; store 2 does.
  for (uint64_t ms = 1050; ms <= 4000; ms += 50) {
    M(2).LogSynced(At(ms));
    M(2).Tick(At(ms));
  }
  auto mail = M(2).TakeOutput().messages;
  ASSERT_FALSE(mail.empty());
  M(1).Tick(At(4000));
  EXPECT_FALSE(M(1).TakeOutput().write.has_value());
  for (const auto& m : mail) M(1).Receive(m, At(4001));
  M(1).Tick(At(4450));
  EXPECT_TRUE(M(1).SupportFor(2).supported);
}

TEST_F(LivenessTest, NothingIsSentBeforeTheStartIsCounted) {
  Start(1, 0);
  M(1).LogSynced(At(0));
  M(1).Tick(At(0));
  auto out = M(1).TakeOutput();
  EXPECT_TRUE(out.messages.empty());
  ASSERT_TRUE(out.write.has_value());
  EXPECT_EQ(out.write->starts, 1u);
  M(1).Written(out.write->sequence, At(1));
  M(1).Tick(At(2));
  EXPECT_FALSE(M(1).TakeOutput().messages.empty());
}

// ---- The promise, under everything ----

// Stores with skewed clocks; messages are lost, doubled, delayed and overtake each other; writes take time; stores
// crash and lose what was not durable, and pause. L1 to L4 are checked at every step.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed) {
    for (StoreId id = 1; id <= kStores; ++id) {
      stores_[id].skew = static_cast<int64_t>(random_.Uniform(240 * kMs));
      Start(id);
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
  }
  int promises() const { return promises_made_; }
  int withdrawals() const { return withdrawals_; }

 private:
  static constexpr StoreId kStores = 4;

  struct Store {
    int64_t skew = 0;
    LivenessState disk;
    std::unique_ptr<SupportManager> manager;
    std::vector<std::pair<uint64_t, LivenessWrite>> writing;  // due, write
    uint64_t paused_until = 0;
    uint64_t down_until = 0;
    // As supporter, by requester: what was told in each epoch, and the last epoch seen and whether it was left.
    std::map<StoreId, std::map<uint64_t, Timestamp>> told;
    std::map<StoreId, std::pair<uint64_t, bool>> seen;
  };

  Timestamp Clock(const Store& s) const {
    return Timestamp::FromMicros(1'000'000'000 + now_ + static_cast<uint64_t>(s.skew));
  }

  void Start(StoreId id) {
    Store& s = stores_[id];
    s.manager = std::make_unique<SupportManager>(SupportManager::Options{.self = id}, s.disk, Clock(s));
    for (StoreId peer = 1; peer <= kStores; ++peer) s.manager->AddPeer(peer);
  }

  void Step() {
    now_ += random_.Uniform(60 * kMs);
    for (auto& [id, s] : stores_) {
      if (!s.manager) {
        if (now_ >= s.down_until) Start(id);
        continue;
      }
      if (random_.Chance(0.004)) {
        s.manager = nullptr;
        // Writes reach the disk in order; a crash keeps some prefix of those under way.
        size_t kept = random_.Uniform(s.writing.size() + 1);
        for (size_t i = 0; i < kept; ++i) s.writing[i].second.ApplyTo(&s.disk);
        s.writing.clear();
        s.down_until = now_ + random_.Uniform(2500 * kMs);
        continue;
      }
      if (random_.Chance(0.004)) s.paused_until = now_ + random_.Uniform(2500 * kMs);
      if (now_ < s.paused_until) continue;
      RunStore(id, &s);
    }
    if (random_.Chance(0.01)) cut_ = {1 + random_.Uniform(kStores), now_ + random_.Uniform(4000 * kMs)};
  }

  void RunStore(StoreId id, Store* s) {
    while (!s->writing.empty() && s->writing.front().first <= now_) {
      s->writing.front().second.ApplyTo(&s->disk);
      s->manager->Written(s->writing.front().second.sequence, Clock(*s));
      s->writing.erase(s->writing.begin());
    }
    for (size_t i = 0; i < wire_.size();) {
      if (wire_[i].second.to != id || wire_[i].first > now_) {
        ++i;
        continue;
      }
      s->manager->Receive(wire_[i].second, Clock(*s));
      if (random_.Chance(0.9)) {
        wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        wire_[i++].first = now_ + random_.Uniform(3000 * kMs);  // once more, later
      }
    }
    if (random_.Chance(0.95)) s->manager->LogSynced(Clock(*s));
    s->manager->Tick(Clock(*s));
    auto out = s->manager->TakeOutput();
    if (out.write) {
      for (const auto& [peer, record] : out.write->given) withdrawals_ += record.withdrawn;
      const uint64_t last = s->writing.empty() ? now_ : s->writing.back().first;
      s->writing.push_back({std::max(last, now_ + random_.Uniform(100 * kMs)), *out.write});
    }
    for (const auto& m : out.messages) {
      if (m.type == LivenessMessage::Type::kHeartbeatResponse && !m.expiration.empty()) {
        Timestamp& t = s->told[m.to][m.epoch];
        t = std::max(t, m.expiration);
        ++promises_made_;
      }
      const bool cut = now_ < std::get<1>(cut_) && (std::get<0>(cut_) == m.to || std::get<0>(cut_) == m.from);
      if (!cut && random_.Chance(0.9)) {
        wire_.push_back({now_ + random_.Uniform(random_.Chance(0.1) ? 3000 * kMs : 40 * kMs), m});
      }
    }
  }

  void Check() {
    for (auto& [id, s] : stores_) {
      if (!s.manager) continue;
      for (StoreId peer = 1; peer <= kStores; ++peer) {
        const auto given = s.manager->SupportFor(peer);
        for (const auto& [epoch, until] : s.told[peer]) {
          if (Clock(s) > until) continue;
          // L1; as only one epoch can be shown, also: no two promises in force at once.
          EXPECT_TRUE(given.supported && given.epoch == epoch)
              << "store " << id << " promised " << peer << " epoch " << epoch << " until " << until.ToString()
              << ", it is " << Clock(s).ToString() << " and shows epoch " << given.epoch
              << (given.supported ? "" : " withdrawn");
        }
        auto& [last, left] = s.seen[peer];
        EXPECT_GE(given.epoch, last) << "L2";
        if (given.epoch == last && left) EXPECT_FALSE(given.supported) << "L2: epoch " << last << " came back";
        if (given.epoch > last) left = false;
        last = given.epoch;
        left |= !given.supported;

        if (!stores_[peer].manager || peer == id) continue;
        const auto received = stores_[peer].manager->SupportFrom(id);
        if (received.epoch == 0) continue;
        EXPECT_LE(received.expiration, s.told[peer][received.epoch])
            << "L3: " << peer << " believes more than " << id << " said";
      }
    }
  }

  SeededRandom random_;
  uint64_t now_ = 0;
  std::map<StoreId, Store> stores_;
  std::vector<std::pair<uint64_t, LivenessMessage>> wire_;
  std::pair<StoreId, uint64_t> cut_{0, 0};
  int promises_made_ = 0;
  int withdrawals_ = 0;
};

TEST(LivenessChaos, NoPromiseIsBroken) {
  int promises = 0, withdrawals = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Chaos chaos(seed);
    chaos.Run(2000);
    promises += chaos.promises();
    withdrawals += chaos.withdrawals();
    ASSERT_FALSE(HasFailure()) << "FAILED seed=" << seed;
  }
  // The test would be empty if nothing was ever promised or withdrawn.
  EXPECT_GT(promises, 10000);
  EXPECT_GT(withdrawals, 500);
}

}  // namespace
}  // namespace insula::kv

// Several snapshots that come to one store: side by side, at one rate, and nobody held up by a sender that is slow or silent.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log/log.h"
#include "base/sim/net.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/multiraft/raft_convert.h"
#include "kv/multiraft/range_state.h"
#include "kv/multiraft/snapshot.h"
#include "kv/raft/message.h"
#include "kv/replica/replica.h"
#include "kv/storage/crc32c.h"
#include "kv/storage/varint.h"
#include "kv/store/store.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kRange = 5;  // keyspace 4
constexpr int kNewStore = 3;
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

class SnapshotsTest : public testing::Test {
 protected:
  SnapshotsTest() { log::SetLevel(std::getenv("INSULA_TEST_LOG") != nullptr ? log::Level::kDebug : log::Level::kOff); }

  void StartCluster(uint64_t seed, SnapshotOptions snapshots) {
    TestOptions options;
    options.nodes = 4;
    options.real_replicas = true;
    options.snapshots = snapshots;
    cluster_.emplace(seed, options);
    cluster_->StartAll();
  }
  // A range each for these nodes to lead, with so many rows of 100 KiB: their ids.
  std::vector<RangeId> MakeRanges(int count, int rows) {
    std::vector<RangeId> ranges = {kRange};
    EXPECT_TRUE(cluster_->Write(kRange, Key("0"), "").ok());  // somebody leads
    for (int i = count - 1; i > 0; --i) {
      EXPECT_TRUE(cluster_->Split(kRange, 1000 + static_cast<RangeId>(i), Key(StrCat(i))).ok());
      ranges.insert(ranges.begin() + 1, 1000 + static_cast<RangeId>(i));
    }
    for (int i = 0; i < count; ++i) {
      for (int row = 0; row < rows; ++row) EXPECT_TRUE(cluster_->Write(ranges[i], Key(StrCat(i, "-", row)), std::string(100 << 10, 'x')).ok());
      const absl::Status led = cluster_->TransferLease(ranges[i], i);
      EXPECT_TRUE(led.ok()) << led;
      EXPECT_TRUE(cluster_->sim().RunUntil([&] { return cluster_->Leaseholder(ranges[i]) == i; }, 5s)) << cluster_->Progress(ranges[i]);
    }
    return ranges;
  }
  // All of them get a replica on the new store at once, each by its own leader.
  void AddToAll(const std::vector<RangeId>& ranges, Duration limit) {
    std::vector<std::shared_ptr<std::optional<v1::BatchResponse>>> answers;
    for (RangeId range : ranges) {
      v1::BatchRequest batch = NewBatch();
      auto* change = batch.add_requests()->mutable_admin_change_replicas();
      change->set_key(cluster_->Descriptor(range).start_key());
      change->add_add()->set_node_id(kNewStore + 1);
      change->mutable_add(0)->set_store_id(kNewStore + 1);
      const int leader = cluster_->Leaseholder(range);
      ASSERT_GE(leader, 0);
      answers.push_back(std::make_shared<std::optional<v1::BatchResponse>>());
      cluster_->Node(leader).Spawn([answer = answers.back(), batch, replica = ReplicaOf(*cluster_->store(leader)->Find(range))](Context ctx) -> Task<void> {
        *answer = co_await replica->Execute(ctx, batch);
      });
    }
    auto all = [&] {
      most_at_once_ = std::max(most_at_once_, cluster_->store(kNewStore)->multiraft().snapshots().incoming());
      return std::all_of(answers.begin(), answers.end(), [](const auto& a) { return a->has_value(); });
    };
    ASSERT_TRUE(cluster_->sim().RunUntil(all, limit));
    for (const auto& answer : answers) EXPECT_FALSE((*answer)->has_error()) << (*answer)->ShortDebugString();
    for (RangeId range : ranges) {
      ASSERT_TRUE(cluster_->WaitCaughtUp(range));
      cluster_->CheckReplicasAgree(range);
    }
  }
  uint64_t Total(uint64_t StoreMetrics::*count) {
    uint64_t sum = 0;
    for (int i = 0; i < kNewStore; ++i) sum += cluster_->store(i)->metrics().*count;
    return sum;
  }

  // Node 1 begins to send a snapshot of a range that nobody has, and then brings `rows` bytes every `every`, or nothing. The streams' ends.
  void SendSlowly(RangeId range, Duration every, size_t rows) {
    auto end = std::make_shared<absl::Status>();
    ends_.push_back(end);
    auto begun = std::make_shared<bool>(false);
    auto group = cluster_->store(0)->Find(kRange);
    v1::SnapshotChunk first;
    v1::SnapshotHeader& header = *first.mutable_header();
    header.set_version(SnapshotTransfer::kVersion);
    header.set_id(StrCat("slow-", range));
    *header.mutable_range() = group->descriptor();
    header.mutable_range()->set_range_id(range);
    header.mutable_range()->set_start_key(KeyspacePrefix(range));
    header.mutable_range()->set_end_key(KeyspacePrefix(range + 1));
    header.set_range_state(EncodeRangeState(group->state()));
    header.mutable_envelope()->set_range_id(range);
    header.mutable_envelope()->set_from_store(1);
    header.mutable_envelope()->set_to_store(kNewStore + 1);
    raft::Message message{.type = raft::MessageType::kSnap, .to = 4, .from = 1, .term = 10};
    auto snapshot = std::make_shared<raft::Snapshot>();
    snapshot->metadata = {.conf_state = group->state().conf, .index = group->state().applied_index, .term = group->state().applied_term};
    message.snapshot = std::move(snapshot);
    ToProto(message, header.mutable_envelope()->mutable_message());
    PeerIdentity self;
    self.common_name = "node-1";
    self.organizational_unit = "Nodes";
    transports_.push_back(cluster_->Node(0).MakeTransport(self));
    cluster_->Node(0).Spawn([=, transport = transports_.back().get(), bytes = first.SerializeAsString()](Context ctx) -> Task<void> {
      auto stream = co_await transport->Open(ctx, StrCat("n", kNewStore + 1, ":26257"), SnapshotTransfer::kMethod);
      EXPECT_TRUE(stream.ok()) << stream.status();
      EXPECT_TRUE((co_await (*stream)->Send(ctx, bytes)).ok());
      *begun = true;
      auto go = co_await (*stream)->Receive(ctx);
      for (int n = 0; go.ok() && rows > 0 && n < 1000; ++n) {
        v1::SnapshotChunk chunk;
        chunk.set_number(n);
        chunk.mutable_rows()->assign(1, static_cast<char>(storage::ColumnFamily::kData));
        storage::AppendString(chunk.mutable_rows(), TestRow(StrCat(KeyspacePrefix(range), 1000 + n)));
        storage::AppendString(chunk.mutable_rows(), std::string(rows, 'x'));
        chunk.set_crc32c(storage::Crc32c(chunk.rows()));
        if (!(co_await (*stream)->Send(ctx, chunk.SerializeAsString())).ok()) break;
        if (!(co_await Sleep(ctx, every)).ok()) break;
      }
      auto last = co_await (*stream)->Receive(ctx);
      *end = last.status();
    });
    ASSERT_TRUE(cluster_->sim().RunUntil([&] { return *begun; }, 10s));
    cluster_->sim().RunFor(100ms);
  }
  void TearDown() override {
    cluster_.reset();
    transports_.clear();
  }

  std::optional<TestCluster> cluster_;
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::shared_ptr<absl::Status>> ends_;
  size_t most_at_once_ = 0;
};

TEST_F(SnapshotsTest, OneThatBringsNothingHoldsNobodyUp) {
  StartCluster(1, {});
  SendSlowly(2000, 1s, 0);
  ASSERT_EQ(cluster_->store(kNewStore)->multiraft().snapshots().incoming(), 1u);
  const MonoTime begin = cluster_->sim().now();
  const absl::Status added = cluster_->Change(kRange, {kNewStore}, {});
  ASSERT_TRUE(added.ok()) << added;
  EXPECT_LT(cluster_->sim().now() - begin, 3s);
  EXPECT_TRUE(ends_[0]->ok()) << *ends_[0];  // as nobody needed its place
}

TEST_F(SnapshotsTest, WhoHasHadItsTurnMakesRoomForThoseThatWait) {
  SnapshotOptions options;
  options.taken_at_once = 2;
  StartCluster(2, options);
  const std::vector<RangeId> ranges = MakeRanges(2, 1);
  SendSlowly(2000, 1s, 0);
  SendSlowly(2001, 500ms, 100);
  cluster_->sim().RunFor(30s);
  EXPECT_EQ(cluster_->store(kNewStore)->multiraft().snapshots().incoming(), 2u) << "made room for nobody";
  MonoTime begin = cluster_->sim().now();
  absl::Status added = cluster_->Change(kRange, {kNewStore}, {});
  ASSERT_TRUE(added.ok()) << added;
  EXPECT_LT(cluster_->sim().now() - begin, 3s);
  EXPECT_TRUE(absl::IsUnavailable(*ends_[0])) << *ends_[0];
  EXPECT_TRUE(ends_[1]->ok()) << *ends_[1];
  // One that is just at its turn is given the rest of it.
  SendSlowly(2002, 1s, 0);
  SendSlowly(2003, 1s, 0);  // takes the place of 2001
  EXPECT_TRUE(absl::IsUnavailable(*ends_[1])) << *ends_[1];
  begin = cluster_->sim().now();
  ASSERT_TRUE(cluster_->Change(ranges[1], {kNewStore}, {}).ok());
  EXPECT_GT(cluster_->sim().now() - begin, 8s);
  EXPECT_LT(cluster_->sim().now() - begin, 15s);
}

TEST_F(SnapshotsTest, TheyComeSideBySideAtOneRate) {
  StartCluster(3, {.bytes_per_second = 1 << 20, .chunk_bytes = 64 << 10, .bytes_in_memory = 1 << 20});
  const std::vector<RangeId> ranges = MakeRanges(3, 30);
  const MonoTime begin = cluster_->sim().now();
  AddToAll(ranges, 60s);
  // 9 MB; each of the three senders alone would be through with its part in 3 s.
  EXPECT_GT(cluster_->sim().now() - begin, 8s);
  EXPECT_LT(cluster_->sim().now() - begin, 15s);
  EXPECT_EQ(most_at_once_, 3u);
}

TEST_F(SnapshotsTest, WhatMadeRoomIsGoneOnWithWhereItWas) {
  for (size_t in_memory : {size_t{0}, size_t{64} << 20}) {
    StartCluster(4, {.bytes_per_second = 1 << 20, .chunk_bytes = 64 << 10, .bytes_in_memory = in_memory, .taken_at_once = 1, .turn = 1s});
    const std::vector<RangeId> ranges = MakeRanges(3, 30);
    AddToAll(ranges, 90s);
    EXPECT_GE(Total(&StoreMetrics::snapshots_resumed), 3u);
    EXPECT_LT(Total(&StoreMetrics::snapshot_bytes_sent), 11u << 20) << "what had arrived was sent again";
    EXPECT_EQ(Total(&StoreMetrics::snapshots_failed), 0u);
  }
}

}  // namespace
}  // namespace insula::kv

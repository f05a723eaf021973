// What is to be cleared, over a whole KV in one process: commits, aborts, pods that come and go.
#include "sql/catalog/clearings.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"
#include "tenant/tenant.h"

namespace insula::sql {
namespace {

constexpr uint32_t kStorage = 20000;

class ClearingsTest : public testing::Test {
 protected:
  // A process with its own client and its own background task.
  struct Pod {
    Pod(TestLoop* loop, kv::LocalCluster* cluster, const CatalogLayout& layout)
        : db(cluster->NewDatabase()), clearings(std::make_unique<Clearings>(loop->ctx(), db.get(), layout)) {
      clearings->Start();
    }
    std::unique_ptr<kv::ClientDatabase> db;
    std::unique_ptr<Clearings> clearings;
  };

  std::unique_ptr<Pod> NewPod() { return std::make_unique<Pod>(&loop_, &cluster_, layout_); }
  std::unique_ptr<kv::Txn> Begin(Pod& pod) {
    auto txn = pod.db->Begin({.isolation = kv::Isolation::kReadCommitted});
    Ok(loop_.Run(txn->BeginStatement(ctx_)));
    return txn;
  }
  static void Ok(const absl::Status& s) { EXPECT_TRUE(s.ok()) << s; }
  std::vector<kv::KeyValue> Rows(int from, int to) const {
    std::vector<kv::KeyValue> rows;
    for (int i = from; i < to; ++i) {
      std::string key = layout_.Index(kStorage, 1);
      AppendUint64(&key, static_cast<uint64_t>(i));
      rows.push_back({key, StrCat("row ", i)});
    }
    return rows;
  }
  void DeclareFresh(Pod& pod, kv::Txn* txn) {
    txn->DeclareFresh(layout_.Table(kStorage), [&pod, txn](const Context& ctx) { return pod.clearings->Reserve(ctx, txn, kStorage); });
  }
  std::optional<size_t> Insert(kv::Txn& txn, std::vector<kv::KeyValue> rows) {
    auto result = loop_.Run(txn.InsertMany(ctx_, std::move(rows)));
    Ok(result.status());
    return result.ok() ? *result : std::nullopt;
  }
  size_t CountIn(kv::Txn& txn, std::string prefix) {
    size_t count = 0;
    std::optional<kv::ScanSpec> next = kv::ScanSpec{.start = prefix, .end = PrefixEnd(prefix)};
    while (next) {
      auto page = loop_.Run(txn.Scan(ctx_, *std::move(next)));
      Ok(page.status());
      if (!page.ok()) return 0;
      count += page->rows().size();
      next = page->rest();
    }
    return count;
  }
  // A transaction that has written 1000 rows directly.
  std::unique_ptr<kv::Txn> Loading(Pod& pod) {
    auto txn = Begin(pod);
    DeclareFresh(pod, txn.get());
    Insert(*txn, Rows(0, 1000));
    return txn;
  }
  // What a new transaction sees.
  size_t StoredRows(Pod& pod) { return CountIn(*Begin(pod), layout_.Table(kStorage)); }
  size_t Entries(Pod& pod) { return CountIn(*Begin(pod), layout_.ClearingSpan()); }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  CatalogLayout layout_{KeyspacePrefix(7)};
  // The storage lies in two ranges.
  kv::LocalCluster cluster_{&loop_, {Rows(500, 501)[0].key}};
};

TEST_F(ClearingsTest, RowsThatCommitStay) {
  auto pod = NewPod();
  auto txn = Begin(*pod);
  DeclareFresh(*pod, txn.get());
  EXPECT_EQ(Insert(*txn, Rows(0, 1000)), std::nullopt);
  EXPECT_EQ(cluster_.replicated_locks(), 0u) << "no intents";
  EXPECT_EQ(StoredRows(*pod), 1000u);
  EXPECT_EQ(Insert(*txn, Rows(900, 1100)), 0u) << "the first that exists";
  Ok(loop_.Run(txn->BeginStatement(ctx_)));
  EXPECT_EQ(CountIn(*txn, layout_.Table(kStorage)), 1000u) << "its own later statements see them";
  pod->clearings->Kick();
  loop_.RunFor(2 * kv::kClearingGrace);
  EXPECT_EQ(StoredRows(*pod), 1000u) << "never while it may commit";
  Ok(loop_.Run(txn->Commit(ctx_)));
  EXPECT_EQ(Entries(*pod), 0u);
  pod->clearings->Kick();
  loop_.RunFor(2 * kv::kClearingGrace);
  EXPECT_EQ(StoredRows(*pod), 1000u);
  EXPECT_EQ(pod->clearings->cleared(), 0u);
}

TEST_F(ClearingsTest, RowsOfARollbackGoAtOnce) {
  auto pod = NewPod();
  auto txn = Loading(*pod);
  Ok(loop_.Run(txn->Rollback(ctx_)));
  EXPECT_EQ(StoredRows(*pod), 1000u);
  pod->clearings->Kick();
  loop_.RunFor(3s);
  EXPECT_EQ(StoredRows(*pod), 0u);
  EXPECT_EQ(Entries(*pod), 0u);
}

TEST_F(ClearingsTest, ANewPodClearsWhatADeadOneLeft) {
  auto dead = NewPod();
  auto txn = Loading(*dead);
  dead->clearings.reset();
  dead->db.reset();
  cluster_.lose_request = true;  // the end of the process: nobody is told
  txn.reset();
  auto pod = NewPod();
  EXPECT_EQ(StoredRows(*pod), 1000u);
  loop_.RunFor(4s);
  EXPECT_EQ(StoredRows(*pod), 1000u) << "not in the way of a start";
  loop_.RunFor(60s);
  EXPECT_EQ(StoredRows(*pod), 0u);
  EXPECT_EQ(Entries(*pod), 0u);
}

TEST_F(ClearingsTest, ANewPodLeavesAloneWhatMayStillCommit) {
  auto old_pod = NewPod();
  auto txn = Loading(*old_pod);
  auto pod = NewPod();
  loop_.RunFor(60s);
  EXPECT_EQ(StoredRows(*pod), 1000u);
  Ok(loop_.Run(txn->Commit(ctx_)));
  loop_.RunFor(60s);
  EXPECT_EQ(StoredRows(*pod), 1000u);
  EXPECT_EQ(Entries(*pod), 0u);
}

TEST_F(ClearingsTest, WhoLosesItsEntryCannotCommit) {
  auto pod = NewPod();
  auto txn = Loading(*pod);
  cluster_.group_of(layout_.ClearingSpan()).ChangeLease();  // its lock is gone
  pod->clearings->Kick();
  loop_.RunFor(3s);
  EXPECT_EQ(StoredRows(*pod), 0u);
  absl::Status committed = loop_.Run(txn->Commit(ctx_));
  EXPECT_EQ(ToPgError(committed).sqlstate, "40001") << committed;
}

TEST_F(ClearingsTest, DroppedRowsAreClearedAfterTheGrace) {
  auto pod = NewPod();
  auto txn = Begin(*pod);
  for (kv::KeyValue& row : Rows(0, 1000)) txn->Put(row.key, row.value);
  txn->Put(layout_.Version(), "1");
  Ok(loop_.Run(txn->Commit(ctx_)));
  // Two readers that began before the drop.
  auto reader = Begin(*pod), late = Begin(*pod);
  for (auto* r : {reader.get(), late.get()}) {
    r->SetFence(layout_.Version(), "1");
    Ok(loop_.Run(r->Get(ctx_, Rows(0, 1)[0].key)).status());
  }
  auto drop = Begin(*pod);
  drop->Put(layout_.Version(), "2");
  Clearings::Retire(layout_, drop.get(), kStorage, 0);
  Ok(loop_.Run(drop->Commit(ctx_)));
  pod->clearings->Kick();
  loop_.RunFor(kv::kSnapshotTrust - 1s);
  EXPECT_EQ(CountIn(*reader, layout_.Table(kStorage)), 1000u) << "its snapshot is whole";
  loop_.RunFor(2 * kv::kClearingGrace);
  EXPECT_EQ(StoredRows(*pod), 0u);
  EXPECT_EQ(Entries(*pod), 0u);
  auto page = loop_.Run(late->Scan(ctx_, {.start = layout_.Table(kStorage), .end = PrefixEnd(layout_.Table(kStorage))}));
  EXPECT_EQ(page.status().code(), absl::StatusCode::kFailedPrecondition) << "rather than rows missing";
}

TEST_F(ClearingsTest, ADirectWriteCannotBeTakenBackAlone) {
  auto pod = NewPod();
  auto txn = Begin(*pod);
  const kv::Txn::Savepoint before = txn->CreateSavepoint();
  DeclareFresh(*pod, txn.get());
  const kv::Txn::Savepoint after = txn->CreateSavepoint();
  Insert(*txn, Rows(0, 1000));
  EXPECT_EQ(ToPgError(loop_.Run(txn->RollbackTo(ctx_, after))).sqlstate, "40001");
  Ok(loop_.Run(txn->RollbackTo(ctx_, before)));
  txn->Put(layout_.Version(), "2");
  Ok(loop_.Run(txn->Commit(ctx_)));
  EXPECT_EQ(Entries(*pod), 1u) << "undone with the declaration";
  pod->clearings->Kick();
  loop_.RunFor(3s);
  EXPECT_EQ(StoredRows(*pod), 0u);
}

TEST_F(ClearingsTest, AnUnknownResultFailsTheStatement) {
  auto pod = NewPod();
  auto txn = Begin(*pod);
  DeclareFresh(*pod, txn.get());
  Insert(*txn, Rows(0, 200));
  cluster_.lose_answer = true;
  auto result = loop_.Run(txn->InsertMany(ctx_, Rows(200, 400)));
  EXPECT_EQ(ToPgError(result.status()).sqlstate, "40001") << result.status();
  Ok(loop_.Run(txn->Rollback(ctx_)));
  pod->clearings->Kick();
  loop_.RunFor(3s);
  EXPECT_EQ(StoredRows(*pod), 0u);
}

}  // namespace
}  // namespace insula::sql

// Requests that arrive a second time when all is over.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/database.h"
#include "kv/client/testing/local_cluster.h"

namespace insula::kv {
namespace {

std::string K(std::string_view key) { return StrCat("\xfe", key); }

class LateCopyTest : public testing::Test {
 protected:
  ~LateCopyTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  // "key=value …"
  std::string All() {
    std::string out;
    auto txn = db_->Begin({.read_only = true});
    std::optional<ScanSpec> spec = ScanSpec{.start = K("a"), .end = K("z")};
    while (spec) {
      auto page = loop_.Run(txn->Scan(ctx_, *spec));
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return "error";
      for (const auto& row : page->rows()) StrAppend(&out, row.key.substr(1), "=", row.value, " ");
      spec = page->rest();
    }
    return out;
  }
  void Fill() {
    auto txn = db_->Begin({});
    EXPECT_TRUE(loop_.Run(txn->DeleteRange(ctx_, K("a"), K("z"))).ok());
    for (const char* key : {"a", "h", "q"}) txn->Put(K(key), "before");
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {K("g"), K("p")}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(LateCopyTest, WritesOfAFinishedTransactionChangeNothing) {
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kSnapshot, Isolation::kReadCommitted}) {
    for (bool commits : {true, false}) {
      Fill();
      std::vector<v1::BatchRequest> sent;
      auto db = cluster_.NewDatabase({.max_buffer_bytes = 0, .write_through_bytes = 0}, [&sent](const v1::BatchRequest& batch) -> CallFate {
        if (IsReplaySafe(batch)) sent.push_back(batch);
        return {};
      });
      auto txn = db->Begin({.isolation = isolation});
      EXPECT_TRUE(loop_.Run(txn->DeleteRange(ctx_, K("a"), K("z"))).ok());
      auto write = [&](std::string_view key, std::string_view value) {
        txn->Put(K(key), std::string(value));
        EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
      };
      for (const char* key : {"b", "h", "r"}) write(key, "first");
      for (const char* key : {"b", "h"}) write(key, "second");
      const Txn::Savepoint savepoint = txn->CreateSavepoint();
      for (const char* key : {"c", "h", "s"}) write(key, "rolled back");
      EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, savepoint)).ok());
      EXPECT_TRUE(loop_.Run(commits ? txn->Commit(ctx_) : txn->Rollback(ctx_)).ok());
      loop_.RunUntilIdle();
      const std::string after = All();
      EXPECT_EQ(after, commits ? "b=second h=second r=first " : "a=before h=before q=before ");
      EXPECT_GT(sent.size(), 6u);
      for (const v1::BatchRequest& batch : sent) {
        (void)loop_.Run(cluster_.Call(ctx_, "n1", batch));
        EXPECT_EQ(All(), after) << batch.DebugString();
      }
      loop_.RunFor(20s);
      EXPECT_EQ(All(), after);
      EXPECT_EQ(cluster_.replicated_locks(), 0u);
      EXPECT_EQ(cluster_.records(), 0u);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace insula::kv

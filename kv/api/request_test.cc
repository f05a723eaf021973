#include "kv/api/request.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kv/api/error.h"
#include "kv/keys/keys.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

v1::BatchRequest Batch() {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(1);
  return batch;
}

std::string Problem(const v1::BatchRequest& batch) {
  absl::Status status = Validate(batch);
  if (status.ok()) return "";
  auto error = GetKvError(status);
  EXPECT_TRUE(error && error->has_invalid());
  return error->message();
}

TEST(Validate, TakesAPlainBatchAndNoUnknownVersion) {
  auto batch = Batch();
  batch.add_requests()->mutable_get()->set_key("k");
  EXPECT_EQ(Problem(batch), "");
  batch.mutable_header()->set_version(2);
  EXPECT_NE(Problem(batch).find("version 2"), std::string::npos);
}

TEST(Validate, RefusesWhatIsEmptyInvertedOrTooLarge) {
  EXPECT_EQ(Problem(Batch()), "a batch has no requests");
  auto batch = Batch();
  auto* scan = batch.add_requests()->mutable_scan();
  scan->set_key("b");
  EXPECT_EQ(Problem(batch), "a span has no end");
  scan->set_end_key("a");
  EXPECT_EQ(Problem(batch), "a span is inverted: its end is before its start");
  scan->set_end_key("b");
  EXPECT_EQ(Problem(batch), "a span is empty");
  scan->set_end_key("c");
  EXPECT_EQ(Problem(batch), "");
  scan->set_key("");
  EXPECT_EQ(Problem(batch), "a key is empty");
  batch.mutable_requests(0)->mutable_put()->set_key(std::string(kMaxKeyBytes + 1, 'k'));
  EXPECT_NE(Problem(batch).find("longer than"), std::string::npos);
}

TEST(Validate, ALookupComesAloneAndLooksWhereItsKeysAddressMayBe) {
  auto batch = Batch();
  auto* lookup = batch.add_requests()->mutable_range_lookup();
  EXPECT_EQ(Problem(batch), "") << "any key may be looked up";
  EXPECT_EQ(RoutingKey(batch.requests(0), batch.header()), keys::LookupStart(""));
  lookup->set_key("\xfek");
  EXPECT_EQ(RoutingKey(batch.requests(0), batch.header()), keys::LookupStart("\xfek"));
  for (const std::string& from : {keys::Meta2Key("\xfej"), keys::Meta1Key("\xfel"), keys::SystemStart(), std::string("\xfel")}) {
    lookup->set_from(from);
    EXPECT_NE(Problem(batch), "") << keys::Pretty(from);
  }
  lookup->set_from(keys::Meta2Key("\xfel"));
  EXPECT_EQ(Problem(batch), "");
  EXPECT_EQ(RoutingKey(batch.requests(0), batch.header()), keys::Meta2Key("\xfel"));
  batch.add_requests()->mutable_get()->set_key("k");
  EXPECT_EQ(Problem(batch), "range_lookup in a transaction or with other requests");
}

TEST(Validate, LocksNeedATransactionAndEndTxnIsLast) {
  auto batch = Batch();
  auto* get = batch.add_requests()->mutable_get();
  get->set_key("k");
  get->set_lock(v1::LOCK_EXCLUSIVE);
  EXPECT_EQ(Problem(batch), "get without a transaction");
  batch.mutable_header()->mutable_txn()->mutable_meta()->set_id(std::string(16, 'x'));
  EXPECT_EQ(Problem(batch), "");
  batch.add_requests()->mutable_end_txn()->set_key("k");
  batch.add_requests()->mutable_get()->set_key("k");
  EXPECT_EQ(Problem(batch), "end_txn is not the last request");
}

TEST(Validate, RowsToInsertRiseWithinTheirSpanAndStandAlone) {
  auto with = [](std::vector<std::string> keys) {
    auto batch = Batch();
    auto* insert = batch.add_requests()->mutable_insert_rows();
    insert->set_key("b");
    insert->set_end_key("d");
    for (const std::string& key : keys) {
      storage::AppendString(insert->mutable_rows(), key);
      storage::AppendString(insert->mutable_rows(), "v");
    }
    return batch;
  };
  EXPECT_EQ(Problem(with({"b", "ba", "c"})), "");
  EXPECT_EQ(Problem(with({})), "no rows to insert");
  EXPECT_NE(Problem(with({"b", "d"})).find("outside"), std::string::npos);
  EXPECT_NE(Problem(with({"a"})).find("outside"), std::string::npos);
  EXPECT_NE(Problem(with({"c", "b"})).find("order"), std::string::npos);
  EXPECT_NE(Problem(with({"c", "c"})).find("order"), std::string::npos);
  auto batch = with({"c"});
  batch.mutable_requests(0)->mutable_insert_rows()->mutable_rows()->pop_back();
  EXPECT_EQ(Problem(batch), "rows to insert do not parse");
  batch = with({"c"});
  batch.mutable_header()->mutable_txn()->mutable_meta()->set_id(std::string(16, 'x'));
  EXPECT_NE(Problem(batch).find("in a transaction"), std::string::npos);
  batch = with({"c"});
  batch.add_requests()->mutable_get()->set_key("c");
  EXPECT_NE(Problem(batch).find("with other requests"), std::string::npos);
}

TEST(KvError, TravelsInsideAStatus) {
  absl::Status status = TxnRetryError(v1::Error::TxnRetry::PUSHED, Timestamp{7}, "k", "moved");
  auto error = GetKvError(status);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->txn_retry().retry_ts(), 7u);
  EXPECT_EQ(error->request_index(), -1);
  EXPECT_EQ(GetKvError(WithRequestIndex(status, 3))->request_index(), 3);
  EXPECT_FALSE(GetKvError(absl::InternalError("plain")).has_value());
  EXPECT_TRUE(ToKvError(absl::CancelledError("gone"), /*ambiguous=*/true).has_ambiguous());
}

}  // namespace
}  // namespace insula::kv

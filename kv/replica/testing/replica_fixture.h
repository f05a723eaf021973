// One replica over an engine in memory, without consensus, and the batches that tests send to it.
#ifndef INSULA_KV_REPLICA_TESTING_REPLICA_FIXTURE_H_
#define INSULA_KV_REPLICA_TESTING_REPLICA_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/hlc/hlc.h"
#include "base/runtime/random.h"
#include "kv/api/testing/test_loop.h"
#include "kv/replica/replica.h"
#include "kv/replica/testing/local_group.h"
#include "kv/storage/model_engine.h"

namespace insula::kv {

inline constexpr char kA[] = "\xfe" "a", kB[] = "\xfe" "b", kC[] = "\xfe" "c", kEnd[] = "\xfe\xff";

// Its sender is itself.
class ReplicaFixture : public testing::Test, private Sender {
 protected:
  ReplicaFixture() {
    auto engine = storage::OpenModelEngine(&random_, &disk_);
    EXPECT_TRUE(engine.ok());
    engine_ = *std::move(engine);
    v1::RangeDescriptor range;
    range.set_version(1);
    range.set_range_id(7);
    range.set_start_key("\xfe");
    range.set_end_key(kEnd);
    range.set_generation(3);
    group_ = std::make_unique<LocalGroup>(range, engine_.get(), &clock_);
    group_->set_state_machine(MakeReplica(group_.get(), {.executor = &loop_, .sender = this, .load_split = {}}));
    replica_ = ReplicaOf(*group_);
  }
  ~ReplicaFixture() override {
    replica_->VerifyInvariants();
    loop_.RunUntilIdle();
    replica_.reset();
    group_.reset();
  }

  Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) override { return replica_->Execute(ctx, std::move(batch)); }

  static v1::BatchRequest Batch() {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(1);
    batch.mutable_header()->set_range_id(7);
    return batch;
  }
  v1::Transaction NewTxn(std::string name, v1::Isolation isolation = v1::SERIALIZABLE) {
    v1::Transaction txn;
    name.resize(16, '.');
    txn.mutable_meta()->set_id(name);
    txn.mutable_meta()->set_anchor_key(kA);
    txn.mutable_meta()->set_isolation(isolation);
    return txn;
  }
  static v1::BatchRequest In(const v1::Transaction& txn) {
    v1::BatchRequest batch = Batch();
    *batch.mutable_header()->mutable_txn() = txn;
    return batch;
  }
  v1::BatchResponse Run(v1::BatchRequest batch) { return loop_.Run(replica_->Execute(loop_.ctx(), std::move(batch))); }
  v1::BatchResponse Ok(v1::BatchRequest batch) {
    v1::BatchResponse response = Run(std::move(batch));
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
    return response;
  }
  // A batch in `txn`, which takes over what the server says.
  v1::BatchResponse Step(v1::Transaction& txn, v1::BatchRequest batch) {
    v1::BatchResponse response = Ok(std::move(batch));
    Absorb(txn, response);
    return response;
  }
  static void Absorb(v1::Transaction& txn, const v1::BatchResponse& response) {
    const v1::Transaction& seen = response.txn();
    txn.set_read_ts(seen.read_ts());
    txn.set_uncertainty_limit(seen.uncertainty_limit());
    txn.set_observed_ts(seen.observed_ts());
    txn.set_observed_range(seen.observed_range());
    txn.set_observed_lease_sequence(seen.observed_lease_sequence());
    txn.mutable_meta()->set_min_ts(seen.meta().min_ts());
    txn.mutable_meta()->set_write_ts(seen.meta().write_ts());
  }

  void Put(std::string key, std::string value) {
    auto batch = Batch();
    batch.add_requests()->mutable_put()->set_key(key);
    batch.mutable_requests(0)->mutable_put()->set_value(value);
    Ok(batch);
  }
  std::string Get(std::string key) {
    auto batch = Batch();
    batch.add_requests()->mutable_get()->set_key(key);
    auto response = Ok(batch);
    return response.responses(0).get().has_value() ? response.responses(0).get().value() : "(none)";
  }
  static void AddGet(v1::BatchRequest& batch, std::string key, v1::LockStrength lock = v1::LOCK_NONE) {
    batch.add_requests()->mutable_get()->set_key(key);
    batch.mutable_requests(batch.requests_size() - 1)->mutable_get()->set_lock(lock);
  }
  static void AddPut(v1::BatchRequest& batch, std::string key, std::string value, uint64_t since = 0, uint32_t sequence = 1) {
    auto* put = batch.add_requests()->mutable_put();
    put->set_key(key);
    put->set_value(value);
    put->set_exclusive_since(since);
    put->set_sequence(sequence);
  }
  static v1::EndTxnRequest* AddEnd(v1::BatchRequest& batch, bool commit, bool one_phase) {
    auto* end = batch.add_requests()->mutable_end_txn();
    end->set_commit(commit);
    end->set_one_phase(one_phase);
    end->set_write_outcome(commit);
    return end;
  }

  TestLoop loop_;
  SeededRandom random_{1};
  storage::ModelDisk disk_;
  std::unique_ptr<storage::Engine> engine_;
  HybridClock clock_{&loop_.clock(), kDefaultMaxOffset};
  std::unique_ptr<LocalGroup> group_;
  std::shared_ptr<Replica> replica_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_TESTING_REPLICA_FIXTURE_H_

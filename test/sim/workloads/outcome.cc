// Commits that somebody asks about while they are under way, as a pod does whose client lost the answer: each is a raw commit in one phase,
// sent now or in a moment, and the question for its outcome comes before, beside or after it.
//
// Checked: what was told holds for good. "Committed" is there at the end, "not committed" never comes to be, however late the commit arrives.
#include <set>
#include <utility>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 2;
constexpr uint64_t kClients = 4;
constexpr uint64_t kMostDelayNanos = 30'000'000;

class OutcomeOfCommits : public Workload {
 public:
  explicit OutcomeOfCommits(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 30ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return CommitAndAsk(ctx, random, StrCat(i, "-", n++)); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kRanges), StrCat(random.Uniform(kClients), "-", random.Uniform(500))); }

  Task<absl::Status> Check(Context ctx) override {
    std::set<std::string> there;
    CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      there.clear();
      for (uint64_t r = 0; r < kRanges; ++r) {
        CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(limited, txn, Key(r, "")));
        for (auto& [id, value] : rows) there.insert(id);
      }
      co_return absl::OkStatus();
    }));
    for (const auto& id : committed_) {
      if (!there.contains(id)) Violation(StrCat("commit ", id, " was told to have happened and is lost"));
    }
    for (const auto& id : not_committed_) {
      if (there.contains(id)) Violation(StrCat("commit ", id, " was told not to have happened and is there"));
    }
    co_return absl::OkStatus();
  }

 private:
  std::string Key(uint64_t range, const std::string& id) const { return StrCat(Prefix(range), "outcome/", id); }

  static kv::v1::BatchRequest CommitBatch(const std::string& key, const std::string& txn_id) {
    kv::v1::BatchRequest batch = kv::NewBatch();
    batch.mutable_header()->set_can_forward_read_ts(true);
    auto* meta = batch.mutable_header()->mutable_txn()->mutable_meta();
    meta->set_id(txn_id);
    meta->set_anchor_key(key);
    auto* put = batch.add_requests()->mutable_put();
    put->set_key(key);
    put->set_value("here");
    put->set_sequence(1);
    auto* end = batch.add_requests()->mutable_end_txn();
    end->set_key(key);
    end->set_commit(true);
    end->set_one_phase(true);
    end->set_write_outcome(true);
    return batch;
  }

  Task<void> CommitAndAsk(Context parent, SeededRandom& random, std::string id) {
    Context ctx = parent.WithTimeout(10s);
    const std::string key = Key(random.Uniform(kRanges), id), txn_id = random.Bytes(16);
    const Duration commit_after(random.Uniform(kMostDelayNanos)), ask_after(random.Uniform(kMostDelayNanos));
    TaskGroup group(ctx);
    group.SpawnFn([&]() -> Task<void> {
      if (!(co_await Sleep(ctx, commit_after)).ok()) co_return;
      kv::v1::BatchResponse response = co_await database(ctx).sender().Send(ctx, CommitBatch(key, txn_id));
      if (response.has_error()) co_return;  // aborted, or not known: who asked is told
      committed_.insert(id);
      Note(absl::OkStatus());
    });
    if ((co_await Sleep(ctx, ask_after)).ok()) co_await Ask(ctx, key, txn_id, id);
    co_await group.Wait();
  }

  Task<void> Ask(const Context& ctx, std::string key, std::string txn_id, std::string id) {
    kv::v1::BatchRequest batch = kv::NewBatch();
    auto* query = batch.add_requests()->mutable_query_outcome();
    query->set_key(std::move(key));
    query->set_txn_id(std::move(txn_id));
    kv::v1::BatchResponse response = co_await database(ctx).sender().Send(ctx, std::move(batch));
    if (response.has_error()) co_return;
    const bool committed = response.responses(0).query_outcome().committed();
    (committed ? committed_ : not_committed_).insert(id);
    Count(committed ? "found" : "ruled out");
  }

  std::set<std::string> committed_, not_committed_;
};

}  // namespace

std::unique_ptr<Workload> MakeOutcome(const WorkloadEnv& env) { return std::make_unique<OutcomeOfCommits>(env); }

}  // namespace insula::simtest

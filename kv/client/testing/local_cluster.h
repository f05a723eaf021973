// Ranges without consensus over one engine in memory, and a channel to them: the whole path from a transaction down to the engine,
// for unit tests of the client.
//
//   LocalCluster cluster(&loop, {"\xfe" "m"});         // [meta), [system), ["\xfe", "\xfem"), ["\xfem", end)
//   auto db = cluster.NewDatabase();
#ifndef INSULA_KV_CLIENT_TESTING_LOCAL_CLUSTER_H_
#define INSULA_KV_CLIENT_TESTING_LOCAL_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/async/context.h"
#include "base/hlc/hlc.h"
#include "base/runtime/executor.h"
#include "base/runtime/random.h"
#include "kv/client/database.h"
#include "kv/replica/replica.h"
#include "kv/replica/testing/local_group.h"
#include "kv/storage/model_engine.h"

namespace insula::kv {

// What becomes of one call of one client.
struct CallFate {
  Duration delay = Duration::zero();         // until it is received
  Duration answer_delay = Duration::zero();  // until the answer comes
  bool received = true;
  bool answered = true;  // else the client waits until it loses patience
  bool breaks = false;   // the connection, after the batch was served if it was received
};
using Fates = std::function<CallFate(const v1::BatchRequest&)>;

class LocalCluster : public BatchChannel {
 public:
  LocalCluster(Executor* executor, std::vector<std::string> split_keys, uint64_t seed = 1, LoadSplitOptions load_split = {});
  ~LocalCluster() override;

  Task<CallResult> Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) override;
  std::unique_ptr<ClientDatabase> NewDatabase(CoordinatorOptions options = {});
  // A client whose calls go as `fates` says: slow, lost, or none any more (it has crashed).
  std::unique_ptr<ClientDatabase> NewDatabase(CoordinatorOptions options, Fates fates);

  LocalGroup& group(RangeId id) { return *groups_.at(id); }
  LocalGroup& group_of(std::string_view key);
  // Null: there is none (any more).
  LocalGroup* find(RangeId id);
  size_t range_count() const { return groups_.size(); }
  // All intents and replicated locks anywhere.
  size_t replicated_locks();
  // Records of transactions anywhere.
  size_t records();
  // Ranges whose address is not known to be written.
  size_t pending_addresses();
  // Unreplicated locks and waiting requests anywhere.
  size_t lock_table_keys();

  // Faults, each for the next call that fits.
  bool lose_request = false;        // it is never received
  bool lose_answer = false;         // it is applied, and nobody hears of it
  bool only_commits = false;        // the two above wait for a batch with end_txn
  Duration latency = Duration::zero();  // of every call
  std::function<void(LocalGroup&)> on_applied;  // after each entry of any range
  std::function<void(RangeId, std::string)> on_busy = [](RangeId, std::string) {};
  uint64_t calls = 0;
  size_t largest_call = 0;          // bytes
  std::string last_call;            // what the last batch consisted of: "check get put end_txn"

 private:
  class Client;
  void AddRange(v1::RangeDescriptor descriptor, const mvcc::Stats& stats = {});
  void EndRange(const MergeTrigger& merge);

  Executor* executor_;
  const LoadSplitOptions load_split_;
  SeededRandom random_;
  storage::ModelDisk disk_;
  std::unique_ptr<storage::Engine> engine_;
  HybridClock clock_;
  Context ctx_;
  std::unique_ptr<ClientDatabase> internal_;  // what replicas send through
  std::map<RangeId, std::unique_ptr<LocalGroup>> groups_;
  std::vector<std::unique_ptr<LocalGroup>> ended_;  // of ranges that were taken in
  std::vector<std::unique_ptr<BatchChannel>> clients_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_TESTING_LOCAL_CLUSTER_H_

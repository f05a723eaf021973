#include "test/sim/range_nemesis.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"

namespace insula::simtest {
namespace {

constexpr Duration kAskFor = 8s;
constexpr bool kMerges = true;
constexpr bool kMoves = true;
constexpr bool kPlacement = true;
constexpr int kJoining = 2;

bool CutsIn(uint64_t seed) { return SeededRandom(seed ^ 0x59595959ull).Chance(0.5); }
bool MovesIn(uint64_t seed) { return kMoves && SeededRandom(seed ^ 0x6d6d6d6dull).Chance(0.4); }
bool MetaIn(uint64_t seed) { return SeededRandom(seed ^ 0x4d4d4d4dull).Chance(0.4); }
bool PlacesIn(uint64_t seed) { return kPlacement && SeededRandom(seed ^ 0x7c7c7c7cull).Chance(0.3); }

// In seconds what else takes minutes, and so that little is enough to be moved.
void TunePlacement(SeededRandom random, ClusterOptions* options) {
  options->joining_nodes = kJoining;
  options->pool = {.dead_after = 3s + Duration(random.Uniform(5'000'000'000)), .fresh_for = 10s, .say_every = 500ms};
  options->replicate = {.enabled = true,
                        .placement = {.ranges_least = 1, .bytes_least = 20'000, .writes_least = 20, .leases_least = 1, .batches_least = 20},
                        .drift_rest = 1s,
                        .walk_rest = 100ms,
                        .unsettled_for = 3s,
                        .change_timeout = 10s,
                        .first_retry = 200ms};
}

void Name(uint64_t store, kv::v1::ReplicaTarget* target) {
  target->set_node_id(store);
  target->set_store_id(store);
}

// One comes, one goes; or one of the two, as long as three to five vote: of a range that is still as it is known.
void Move(int nodes, const std::string& key, const kv::v1::RangeDescriptor& range, SeededRandom& random, kv::v1::Request* request) {
  std::vector<uint64_t> in, out;
  for (uint64_t store = 1; store <= static_cast<uint64_t>(nodes); ++store) {
    const bool votes = std::any_of(range.replicas().begin(), range.replicas().end(), [&](const auto& r) { return r.store_id() == store && !r.learner() && !r.outgoing(); });
    (votes ? in : out).push_back(store);
  }
  if (in.empty()) return;
  const uint64_t choice = random.Uniform(10);
  const bool comes = !out.empty() && choice < 8, goes = in.size() > 3 || (choice < 7 && comes);
  if (!comes && !goes) return;
  auto* change = request->mutable_admin_change_replicas();
  change->set_key(key);
  change->set_expected_generation(range.generation());
  if (comes) Name(out[random.Uniform(out.size())], change->add_add());
  if (goes) Name(in[random.Uniform(in.size())], change->add_remove());
}

}  // namespace

void RangeNemesis::Tune(uint64_t seed, ClusterOptions* options) {
  if (MovesIn(seed)) options->joining_nodes = kJoining;
  if (PlacesIn(seed)) TunePlacement(SeededRandom(seed ^ 0x7d7d7d7dull), options);
  SeededRandom random(seed ^ 0x5a5a5a5aull);
  if (!CutsIn(seed) || !random.Chance(0.5)) return;
  options->split.max_bytes = static_cast<int64_t>(2'000 + random.Uniform(20'000));
  options->merge = {.enabled = kMerges, .rest = Duration(500'000'000 + random.Uniform(4'000'000'000))};
}

RangeNemesis::RangeNemesis(SimCluster* cluster, uint64_t seed, std::function<std::string(Random&)> random_key)
    : cluster_(cluster), random_(seed ^ 0x5b5b5b5bull), random_key_(std::move(random_key)), interval_(Duration(100'000'000 + random_.Uniform(1'500'000'000))) {
  if (MetaIn(seed)) {
    random_key_ = [inner = std::move(random_key_), own = SeededRandom(seed ^ 0x4e4e4e4eull)](Random& random) mutable {
      std::string key = inner(random);
      return own.Chance(0.25) ? kv::keys::Meta2Key(key) : key;
    };
  }
  if (CutsIn(seed)) AddCuts();
  if (MovesIn(seed)) AddMoves();
  places_ = PlacesIn(seed);
}

void RangeNemesis::AddCuts() {
  actions_.push_back({"cut", 2, [](const std::string& key, const kv::v1::RangeDescriptor&, SeededRandom&, kv::v1::Request* request) {
                        request->mutable_admin_split()->set_split_key(key);
                      }});
  if (!kMerges) return;
  // More often: of what is to be joined some is the last of its keyspace.
  actions_.push_back({"merge", 3, [](const std::string& key, const kv::v1::RangeDescriptor&, SeededRandom&, kv::v1::Request* request) {
                        request->mutable_admin_merge()->set_key(key);
                      }});
}

void RangeNemesis::AddMoves() {
  actions_.push_back({"move", 3, [nodes = cluster_->nodes()](const std::string& key, const kv::v1::RangeDescriptor& range, SeededRandom& random,
                                                             kv::v1::Request* request) { Move(nodes, key, range, random, request); }});
  actions_.push_back({"transfer", 2, [](const std::string& key, const kv::v1::RangeDescriptor& range, SeededRandom& random, kv::v1::Request* request) {
                        if (range.replicas_size() == 0) return;
                        request->mutable_admin_transfer_lease()->set_key(key);
                        const int which = static_cast<int>(random.Uniform(static_cast<uint64_t>(range.replicas_size())));
                        request->mutable_admin_transfer_lease()->set_store_id(range.replicas(which).store_id());
                      }});
}

void RangeNemesis::Begin() {
  if (!actions_.empty()) Next();
  if (places_) LoseOne();
}

void RangeNemesis::LoseOne() {
  cluster_->sim().At(2s + Duration(random_.Uniform(4'000'000'000)), [this] {
    if (ended_) return;
    const int node = static_cast<int>(random_.Uniform(static_cast<uint64_t>(cluster_->nodes())));
    const Duration away = 3s + Duration(random_.Uniform(12'000'000'000));
    const bool drains = random_.Chance(0.4);
    ++(*counts_)[drains ? "node drained" : "node away"];
    if (drains) {
      cluster_->SetDraining(node, true);
    } else {
      cluster_->SendAway(node, away);
    }
    cluster_->sim().At(away, [this, node, drains] {
      if (ended_) return;
      if (drains) cluster_->SetDraining(node, false);
      LoseOne();
    });
  });
}

void RangeNemesis::Next() {
  cluster_->sim().At(interval_ / 4 + Duration(random_.Uniform(static_cast<uint64_t>(interval_.count()) * 3 / 2)), [this] {
    if (ended_) return;
    uint64_t all = 0;
    for (const Action& action : actions_) all += action.weight;
    uint64_t at = random_.Uniform(all);
    auto action = actions_.begin();
    while (at >= action->weight) at -= (action++)->weight;
    Ask(*action, random_key_(random_), random_.Next64());
    Next();
  });
}

void RangeNemesis::Ask(const Action& action, std::string key, uint64_t seed) {
  ++(*counts_)[action.name];
  cluster_->client()->Spawn([this, &action, key = std::move(key), seed, counts = counts_](Context ctx) -> Task<void> {
    const Context limited = ctx.WithTimeout(kAskFor);
    auto range = co_await cluster_->database()->sender().Locate(limited, key);
    if (!range.ok()) co_return;
    kv::v1::BatchRequest batch = kv::NewBatch();
    SeededRandom random(seed);
    action.make(key, *range, random, batch.add_requests());
    if (batch.requests(0).value_case() == kv::v1::Request::VALUE_NOT_SET) co_return;
    kv::v1::BatchResponse response = co_await cluster_->database()->sender().Send(limited, std::move(batch));
    ++(*counts)[StrCat(action.name, response.has_error() ? " refused" : " done")];
  });
}

}  // namespace insula::simtest

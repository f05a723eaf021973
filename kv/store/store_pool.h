// What this store knows of all stores: who is there, who is silent since when, what each carries; and what it says of itself.
//
//   members (kv/server), descriptors ──┐                      ┌─► View(): what kv/placement decides on
//   store liveness: support came, went ┼─► StorePool ─────────┤
//   loads that came with heartbeats ───┘        │             └─► changed(): there may be something to do
//                                               └─► LoadFor(peer): goes along with the next heartbeat
//
// Nothing is sent for its own sake: a load goes along with heartbeats every few seconds, or with the next one when this store's state
// changed, or with each one while its disk does not keep up. Figures older than `fresh_for` do not count.
//
// Invariants:
//   V1  A store is dead only after it was silent, without a break and while this store was watching, for `dead_after`.
//   V2  A view's figures of another store are what that store said last, and what this store has done to it since. Rates follow what
//       was moved only in time (kv/replica/range_load.h): until they have, the view adds what is missing.
// Loop thread only.
#ifndef INSULA_KV_STORE_STORE_POOL_H_
#define INSULA_KV_STORE_STORE_POOL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/keys/keys.h"
#include "kv/placement/cluster_view.h"
#include "kv/placement/placement.h"
#include "proto/kv/raft.pb.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

struct StorePoolOptions {
  Duration dead_after = std::chrono::minutes(5);
  Duration fresh_for = std::chrono::seconds(30);
  Duration say_every = std::chrono::seconds(5);
};

class StorePool {
 public:
  // `own` fills in what this store carries now. `hears`: whether `store` is heard of, by store liveness.
  StorePool(Executor* executor, StoreId self, StorePoolOptions options, std::function<void(v1::StoreLoad*)> own, std::function<bool(StoreId)> hears)
      : executor_(executor), self_(self), options_(options), own_(std::move(own)), hears_(std::move(hears)) {}

  // How near this store's disk is to holding writes back (storage::EngineFigures). Asked with each heartbeat.
  void SetWritePressure(std::function<double()> pressure) { pressure_ = std::move(pressure); }

  StoreId self() const { return self_; }

  // -- Input --
  // A member of the cluster, as the system's rows have it (or, before they are known, as this store's file has it).
  void SetMember(const v1::NodeRecord& record);
  // A store of which no more is known than that ranges have replicas on it.
  void Meet(uint64_t node, StoreId store);
  // Support with `store` came or went.
  void SupportChanged(StoreId store);
  // What a store says of itself; one that is not known yet is from now on.
  void Heard(const v1::StoreLoad& load);
  // This store is to say at once what it carries.
  void SayNow();
  // An action of this store was done.
  void Done(const placement::Action& action, const placement::RangeView& range);

  // -- Output --
  // What is to go along to `to` now; null: nothing new. Good until the next call.
  const v1::StoreLoad* LoadFor(StoreId to);
  placement::ClusterView View();
  // The last load heard of `store`, or null. This store's own is made anew.
  const v1::StoreLoad* Load(StoreId store);
  placement::Liveness LivenessOf(StoreId store) const;
  // How near the disk of `store` is to holding writes back, as it said of late; 0: not known, or nothing is heard of it.
  double WritePressureOf(StoreId store) const;
  // Raised whenever there may be something to do: a store died, came, changed its state; or what stores carry is noticeably other than
  // when MarkSeen was last called.
  uint64_t urgent() const { return urgent_; }
  uint64_t drifted() const { return drifted_; }
  Condition& changed() { return changed_; }
  // When the next silent store will be dead; nullopt: none is silent.
  std::optional<MonoTime> NextDeath() const;
  // Notices stores whose deadline has passed: to be called when it does.
  void NoticeDeaths();
  // What has drifted until now is seen.
  void MarkSeen();

 private:
  // Rates that were moved to (from, below zero) a store, as far as it does not count them yet.
  struct Moved {
    MonoTime at{};
    double batches = 0;
    double writes = 0;
  };
  struct Entry {
    v1::NodeRecord record;
    v1::StoreLoad load;
    MonoTime heard{};                      // {}: never
    std::optional<MonoTime> silent_since;  // nullopt: heard of
    bool dead = false;
    placement::StoreView view;  // figures only
    placement::StoreView seen;  // figures at the last MarkSeen
    std::vector<Moved> moved;
  };
  struct Said {
    MonoTime at{};
    uint64_t version = 0;
    bool pressed = false;
  };
  void Urgent();
  void TakeFigures(const v1::StoreLoad& load, placement::StoreView* view) const;
  bool Drifted(const Entry& e) const;
  void RefreshOwn();

  Executor* const executor_;
  const StoreId self_;
  const StorePoolOptions options_;
  const std::function<void(v1::StoreLoad*)> own_;
  const std::function<bool(StoreId)> hears_;
  std::function<double()> pressure_ = [] { return 0.0; };
  std::map<StoreId, Entry> entries_;
  std::map<StoreId, Said> said_;
  v1::StoreLoad own_load_;
  MonoTime own_at_{};
  uint64_t say_version_ = 1;
  uint64_t urgent_ = 0;
  uint64_t drifted_ = 0;
  Condition changed_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_STORE_POOL_H_

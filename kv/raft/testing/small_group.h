// A few replicas under a test's hand: storage in memory, messages delivered when told to, store liveness set by hand.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_TESTING_SMALL_GROUP_H_
#define INSULA_KV_RAFT_TESTING_SMALL_GROUP_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "kv/raft/memory_storage.h"
#include "kv/raft/raft.h"
#include "kv/raft/raw_node.h"

namespace insula::raft::testing {

// Who supports whom; all clocks are one, in `now`.
struct HandLiveness {
  uint64_t now = 1000;
  struct Support {
    uint64_t epoch = 0;
    bool supported = false;
    uint64_t expiration = 0;
  };
  std::map<std::pair<NodeId, NodeId>, Support> by_for;  // (supporter, requester)

  void SetAll(const std::vector<NodeId>& ids, uint64_t epoch, uint64_t expiration) {
    for (NodeId a : ids) {
      for (NodeId b : ids) by_for[{a, b}] = {epoch, true, expiration};
    }
  }
  void Withdraw(NodeId supporter, NodeId requester) { by_for[{supporter, requester}].supported = false; }
};

class HandView : public StoreLivenessView {
 public:
  HandView(HandLiveness* world, NodeId self) : world_(world), self_(self) {}
  Given SupportFor(NodeId replica) const override {
    const auto& s = world_->by_for[{self_, replica}];
    return {.epoch = s.epoch, .supported = s.supported};
  }
  Received SupportFrom(NodeId replica) const override {
    const auto& s = world_->by_for[{replica, self_}];
    return {.epoch = s.epoch, .expiration = s.expiration};
  }
  bool Expired(uint64_t expiration) const override { return world_->now > expiration; }
  uint64_t Hlc() const override { return std::max(world_->now, observed); }
  void ObserveHlc(uint64_t hlc) override { observed = std::max(observed, hlc); }

  uint64_t observed = 0;

 private:
  HandLiveness* world_;
  NodeId self_;
};

class SmallGroup {
 public:
  struct Node {
    MemoryStorage storage;
    std::unique_ptr<HandView> view;
    Config config;
    std::unique_ptr<RawNode> raw;
    std::vector<std::string> applied;
    std::vector<ReadState> reads;
    uint64_t applied_index = 0;
    ConfState conf;
    std::vector<Message> append_work;  // asynchronous storage: held back until RunAppends
    bool hold_appends = false;
  };

  // `tune` may change each replica's configuration.
  explicit SmallGroup(ConfState conf, std::function<void(Config*)> tune = nullptr, bool leases = false)
      : conf_(std::move(conf)), tune_(std::move(tune)), leases_(leases) {
    std::vector<NodeId> ids = conf_.voters;
    ids.insert(ids.end(), conf_.learners.begin(), conf_.learners.end());
    for (NodeId id : ids) Add(id, conf_);
    if (leases_) liveness.SetAll(ids, 1, 5000);
  }

  Node& Add(NodeId id, const ConfState& conf) {
    Node& n = nodes[id];
    n.conf = conf;
    if (!conf.empty()) {
      Snapshot start;
      start.metadata = {.conf_state = conf, .index = 5, .term = 1};
      n.storage.ApplySnapshot(std::make_shared<const Snapshot>(start));
      n.storage.SetHardState({.term = 1, .commit = 5});
      n.applied_index = 5;
    }
    Start(id);
    return n;
  }

  // Also restarts: everything written so far is on disk.
  void Start(NodeId id) {
    Node& n = nodes.at(id);
    n.view = std::make_unique<HandView>(&liveness, id);
    n.config = Config();
    n.config.id = id;
    n.config.storage = &n.storage;
    n.config.applied = n.applied_index;
    n.config.random = [](uint64_t) { return uint64_t{0}; };
    if (leases_) {
      n.config.liveness = n.view.get();
      n.config.check_quorum = n.config.pre_vote = n.config.synced_conf_changes = true;
    }
    if (tune_) tune_(&n.config);
    n.append_work.clear();
    n.raw = std::make_unique<RawNode>(n.config);
  }

  RawNode& operator[](NodeId id) { return *nodes.at(id).raw; }
  const Raft& raft(NodeId id) { return nodes.at(id).raw->raft(); }

  // Handles what `id` has to do; messages for others go to `wire`.
  void Work(NodeId id) {
    Node& n = nodes.at(id);
    while (n.raw && n.raw->HasReady()) {
      Ready rd = n.raw->TakeReady();
      for (ReadState& r : rd.read_states) n.reads.push_back(r);
      if (!n.config.async_storage_writes) {
        Write(&n, rd.hard_state ? &*rd.hard_state : nullptr, rd.entries, rd.snapshot);
        for (Message& m : rd.messages) wire.push_back(std::move(m));
        Apply(&n, rd.committed_entries);
        n.raw->Advance();
        continue;
      }
      for (Message& m : rd.messages) {
        if (m.to == kLocalAppendThread) {
          n.append_work.push_back(std::move(m));
        } else if (m.to == kLocalApplyThread) {
          Apply(&n, m.entries);
          for (Message& r : m.responses) (void)n.raw->Step(std::move(r));
        } else {
          wire.push_back(std::move(m));
        }
      }
      if (!n.hold_appends) RunAppends(id);
    }
  }

  void RunAppends(NodeId id) {
    Node& n = nodes.at(id);
    for (Message& m : std::exchange(n.append_work, {})) {
      const HardState s{.term = m.term, .vote = m.vote, .commit = m.commit, .lead = m.lead, .lead_epoch = m.lead_epoch};
      Write(&n, m.term ? &s : nullptr, m.entries, m.snapshot);
      for (Message& r : m.responses) {
        if (r.to == id) {
          (void)n.raw->Step(std::move(r));
        } else {
          wire.push_back(std::move(r));
        }
      }
    }
  }

  // Works and delivers until nothing is left. Messages to `cut` nodes, from them, or that `drop` names are lost.
  void Settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& [id, n] : nodes) Work(id);
      for (Message& m : std::exchange(wire, {})) {
        busy = true;
        Deliver(std::move(m));
      }
    }
  }

  void Deliver(Message m) {
    auto to = nodes.find(m.to);
    if (cut.count(m.to) || cut.count(m.from) || (drop && drop(m))) return;
    if (to == nodes.end() || !to->second.raw) return;
    (void)to->second.raw->Step(std::move(m));
  }

  void Elect(NodeId id) {
    CHECK_OK(nodes.at(id).raw->Campaign());
    Settle();
    CHECK(raft(id).state() == StateType::kLeader) << id << " was not elected";
  }

  NodeId Leader() {
    for (auto& [id, n] : nodes) {
      if (n.raw && raft(id).state() == StateType::kLeader && !cut.count(id)) return id;
    }
    return kNone;
  }

  void TickAll(int times = 1) {
    for (int i = 0; i < times; ++i) {
      for (auto& [id, n] : nodes) {
        if (n.raw && !cut.count(id)) n.raw->Tick();
      }
      Settle();
    }
  }

  std::map<NodeId, Node> nodes;
  HandLiveness liveness;
  std::deque<Message> wire;
  std::set<NodeId> cut;
  std::function<bool(const Message&)> drop;

 private:
  void Write(Node* n, const HardState* s, const std::vector<Entry>& entries, const SnapshotPtr& snapshot) {
    n->storage.Append(entries);
    if (s) n->storage.SetHardState(*s);
    if (!snapshot) return;
    n->storage.ApplySnapshot(snapshot);
    n->applied_index = snapshot->metadata.index;
    n->conf = snapshot->metadata.conf_state;
  }

  void Apply(Node* n, const std::vector<Entry>& entries) {
    for (const Entry& e : entries) {
      if (e.index <= n->applied_index) continue;
      n->applied_index = e.index;
      if (e.type == EntryType::kNormal) {
        if (!e.data.empty()) n->applied.push_back(e.data.str());
      } else {
        ConfChangeV2 change;
        CHECK(DecodeConfChange(e.data.view(), &change));
        n->conf = n->raw->ApplyConfChange(change);
      }
      Snapshot s;
      s.metadata = {.conf_state = n->conf, .index = e.index, .term = e.term};
      n->storage.CreateSnapshot(std::make_shared<const Snapshot>(s));
    }
  }

  ConfState conf_;
  std::function<void(Config*)> tune_;
  const bool leases_;
};

}  // namespace insula::raft::testing

#endif  // INSULA_KV_RAFT_TESTING_SMALL_GROUP_H_

#include "test/checkers/consistency_model.h"

#include <map>
#include <vector>

namespace insula::checkers {
namespace {

using Relation = std::map<std::string, std::vector<std::string>>;

// anomaly -> anomalies that it also is.
const Relation& ImpliedAnomalies() {
  static const auto& relation = *new Relation{
      {"G0", {"G1c", "G0-process"}},
      {"G0-process", {"G1c-process", "G0-realtime"}},
      {"G0-realtime", {"G1c-realtime"}},
      {"G1a", {"G1"}},
      {"G1b", {"G1"}},
      {"G1c", {"G1", "G1c-process"}},
      {"G1c-process", {"G1c-realtime", "G1-process"}},
      {"G1c-realtime", {"G1-realtime"}},
      {"G1", {"G1-process"}},
      {"G1-process", {"G1-realtime"}},
      {"G-single-item", {"G-single", "G-single-item-process", "G-nonadjacent-item"}},
      {"G-single-item-process", {"G-single-process", "G-single-item-realtime", "G-nonadjacent-item-process"}},
      {"G-single-item-realtime", {"G-single-realtime", "G-nonadjacent-item-realtime"}},
      {"G-single", {"G-nonadjacent", "GSIb", "G-single-process"}},
      {"G-single-process", {"G-nonadjacent-process", "G-single-realtime"}},
      {"G-single-realtime", {"G-nonadjacent-realtime"}},
      {"G-nonadjacent-item", {"G-nonadjacent", "G2-item", "G-nonadjacent-item-process"}},
      {"G-nonadjacent-item-process", {"G-nonadjacent-process", "G2-item-process", "G-nonadjacent-item-realtime"}},
      {"G-nonadjacent-item-realtime", {"G2-item-realtime", "G-nonadjacent-realtime"}},
      {"G-nonadjacent", {"G2", "G-nonadjacent-process"}},
      {"G-nonadjacent-process", {"G2-process", "G-nonadjacent-realtime"}},
      {"G-nonadjacent-realtime", {"G2-realtime"}},
      {"G2", {"G2-process"}},
      {"G2-item", {"G2", "G2-item-process"}},
      {"G2-item-process", {"G2-process", "G2-item-realtime"}},
      {"G2-item-realtime", {"G2-realtime"}},
      {"G2-process", {"G2-realtime"}},
      {"GSIa", {"GSI"}},
      {"GSIb", {"GSI"}},
      // Two committed reads that cannot be of one timeline: one of them is dirty.
      {"incompatible-order", {"G1a"}},
      // A transaction that depends on itself: the cycle has one node.
      {"future-read", {"G1c"}},
      // An aborted write inside a committed version.
      {"dirty-update", {"G1a"}},
      // A read of what nobody wrote; reported only when the history is known to hold all writes.
      {"unwritten-read", {"G1a"}},
      {"lost-update", {"write-skew", "G2-item"}},
      {"write-skew", {"G2"}},
  };
  return relation;
}

const std::map<std::string, std::string>& CanonicalNames() {
  static const auto& names = *new std::map<std::string, std::string>{
      {"consistent-view", "PL-2+"},
      {"conflict-serializable", "PL-3"},
      {"cursor-stability", "PL-CS"},
      {"forward-consistent-view", "PL-FCV"},
      {"monotonic-snapshot-read", "PL-MSR"},
      {"monotonic-view", "PL-2L"},
      {"read-committed", "PL-2"},
      {"read-uncommitted", "PL-1"},
      {"repeatable-read", "PL-2.99"},
      {"serializable", "PL-3"},
      {"snapshot-isolation", "PL-SI"},
      {"strict-serializable", "PL-SS"},
      {"strong-serializable", "PL-SS"},
      {"update-serializable", "PL-3U"},
      {"strong-session-read-uncommitted", "strong-session-PL-1"},
      {"strong-session-read-committed", "strong-session-PL-2"},
      {"strong-read-uncommitted", "strong-PL-1"},
      {"strong-read-committed", "strong-PL-2"},
  };
  return names;
}

// Under canonical names on both sides.
Relation Canonical(const Relation& relation, bool both_sides) {
  Relation out;
  for (const auto& [from, to] : relation) {
    auto& list = out[CanonicalModel(from)];
    for (const std::string& name : to) list.push_back(both_sides ? CanonicalModel(name) : name);
  }
  return out;
}

// model -> models that hold where it holds.
const Relation& ImpliedModels() {
  static const auto& relation = *new Relation(Canonical(
      {
          {"causal-cerone", {"read-atomic"}},
          {"consistent-view", {"cursor-stability", "monotonic-view"}},
          {"cursor-stability", {"read-committed"}},
          {"forward-consistent-view", {"consistent-view"}},
          {"serializable",
           {"repeatable-read", "update-serializable", "snapshot-isolation", "view-serializable"}},
          {"update-serializable", {"forward-consistent-view"}},
          {"monotonic-atomic-view", {"read-committed"}},
          {"monotonic-view", {"read-committed"}},
          {"monotonic-snapshot-read", {"read-committed"}},
          {"parallel-snapshot-isolation", {"causal-cerone", "ROLA"}},
          {"prefix", {"causal-cerone"}},
          {"read-atomic", {"monotonic-atomic-view"}},
          {"read-committed", {"read-uncommitted"}},
          {"repeatable-read", {"cursor-stability", "monotonic-atomic-view"}},
          {"ROLA", {"read-atomic"}},
          {"session-serializable", {"1SR"}},
          {"snapshot-isolation",
           {"forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read", "parallel-snapshot-isolation",
            "prefix"}},
          {"strict-serializable",
           {"serializable", "linearizable", "snapshot-isolation", "strong-snapshot-isolation", "strong-session-serializable",
            "session-serializable"}},
          {"strong-session-PL-1", {"PL-1"}},
          {"strong-session-PL-2", {"PL-2", "strong-session-PL-1"}},
          {"strong-PL-1", {"strong-session-PL-1"}},
          {"strong-PL-2", {"strong-session-PL-2", "strong-PL-1"}},
          {"strong-session-serializable", {"serializable", "strong-session-snapshot-isolation"}},
          {"strong-session-snapshot-isolation", {"snapshot-isolation", "strong-session-PL-2"}},
          {"strong-snapshot-isolation", {"strong-session-snapshot-isolation", "strong-PL-2"}},
          {"linearizable", {"sequential"}},
          {"sequential", {"causal"}},
          {"causal", {"writes-follow-reads", "PRAM"}},
          {"PRAM", {"monotonic-reads", "monotonic-writes", "read-your-writes"}},
      },
      true));
  return relation;
}

// model -> anomalies that it adds to what the models below it forbid.
const Relation& ForbiddenAnomalies() {
  static const auto& relation = *new Relation(Canonical(
      {
          {"causal-cerone", {"internal", "G1a"}},
          {"cursor-stability", {"G1", "G-cursor", "lost-update"}},
          {"monotonic-view", {"G1", "G-monotonic"}},
          {"monotonic-snapshot-read", {"G1", "G-MSR"}},
          {"consistent-view", {"G1", "G-single"}},
          {"forward-consistent-view", {"G1", "G-SIb"}},
          {"parallel-snapshot-isolation", {"internal", "G1a"}},
          {"serializable", {"G1", "G2", "predicate-read-miss", "PL-3-cycle-exists", "internal"}},
          {"read-committed", {"G1", "PL-2-cycle-exists"}},
          {"read-uncommitted", {"G0", "duplicate-elements", "cyclic-versions", "PL-1-cycle-exists"}},
          {"prefix", {"internal", "G1a"}},
          {"snapshot-isolation", {"internal", "G1", "G-SI", "G-nonadjacent", "PL-SI-cycle-exists"}},
          {"read-atomic", {"internal", "G1a", "future-read"}},
          {"repeatable-read", {"G1", "G2-item", "lost-update"}},
          {"ROLA", {"lost-update"}},
          {"strict-serializable", {"G1", "G1c-realtime", "G2-realtime", "PL-SS-cycle-exists"}},
          {"strong-session-PL-1", {"strong-session-PL-1-cycle-exists", "G0-process"}},
          {"strong-session-PL-2", {"strong-session-PL-2-cycle-exists", "G1c-process"}},
          {"strong-PL-1", {"strong-PL-1-cycle-exists", "G0-realtime"}},
          {"strong-PL-2", {"strong-PL-2-cycle-exists", "G1c-realtime"}},
          {"strong-session-snapshot-isolation",
           {"internal", "G1-process", "G-nonadjacent-process", "strong-session-snapshot-isolation-cycle-exists"}},
          {"strong-snapshot-isolation",
           {"internal", "G1-realtime", "G-nonadjacent-realtime", "strong-snapshot-isolation-cycle-exists"}},
          {"strong-session-serializable", {"G1-process", "G2-process", "strong-session-serializable-cycle-exists"}},
          {"update-serializable", {"G1", "G-update"}},
      },
      false));
  return relation;
}

Relation Reversed(const Relation& relation) {
  Relation out;
  for (const auto& [from, to] : relation) {
    for (const std::string& name : to) out[name].push_back(from);
  }
  return out;
}

// All that can be reached from `start`, with it.
Names Reachable(const Relation& relation, const Names& start) {
  Names seen = start;
  std::vector<std::string> open(start.begin(), start.end());
  while (!open.empty()) {
    const auto it = relation.find(open.back());
    open.pop_back();
    if (it == relation.end()) continue;
    for (const std::string& next : it->second) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return seen;
}

Names CanonicalAll(const Names& models) {
  Names out;
  for (const std::string& model : models) out.insert(CanonicalModel(model));
  return out;
}

}  // namespace

std::string CanonicalModel(const std::string& name) {
  const auto it = CanonicalNames().find(name);
  return it == CanonicalNames().end() ? name : it->second;
}

std::string FriendlyModel(const std::string& name) {
  if (name == "PL-3") return "serializable";
  if (name == "PL-SS") return "strict-serializable";
  for (const auto& [friendly, canonical] : CanonicalNames()) {
    if (canonical == name) return friendly;
  }
  return name;
}

bool IsModel(const std::string& name) {
  const std::string canonical = CanonicalModel(name);
  if (ImpliedModels().count(canonical) > 0) return true;
  for (const auto& [from, to] : ImpliedModels()) {
    for (const std::string& model : to) {
      if (model == canonical) return true;
    }
  }
  return false;
}

Names AnomaliesImplying(const Names& anomalies) {
  static const auto& implying = *new Relation(Reversed(ImpliedAnomalies()));
  return Reachable(implying, anomalies);
}

Names AnomaliesImpliedBy(const Names& anomalies) { return Reachable(ImpliedAnomalies(), anomalies); }

Names AnomaliesForbiddenBy(const Names& models) {
  Names forbidden;
  for (const std::string& model : Reachable(ImpliedModels(), CanonicalAll(models))) {
    const auto it = ForbiddenAnomalies().find(model);
    if (it != ForbiddenAnomalies().end()) forbidden.insert(it->second.begin(), it->second.end());
  }
  return AnomaliesImplying(forbidden);
}

Names ModelsRuledOutByModels(const Names& models) {
  static const auto& stronger = *new Relation(Reversed(ImpliedModels()));
  return Reachable(stronger, CanonicalAll(models));
}

Names ModelsRuledOutBy(const Names& anomalies) {
  static const auto& forbidding = *new Relation(Reversed(ForbiddenAnomalies()));
  Names models;
  for (const std::string& anomaly : AnomaliesImpliedBy(anomalies)) {
    const auto it = forbidding.find(anomaly);
    if (it != forbidding.end()) models.insert(it->second.begin(), it->second.end());
  }
  return ModelsRuledOutByModels(models);
}

Names WeakestModels(const Names& models) {
  const Names canonical = CanonicalAll(models);
  Names weakest;
  for (const std::string& model : canonical) {
    bool covered = false;
    for (const std::string& implied : Reachable(ImpliedModels(), {model})) {
      covered = covered || (implied != model && canonical.count(implied) > 0);
    }
    if (!covered) weakest.insert(FriendlyModel(model));
  }
  return weakest;
}

}  // namespace insula::checkers

#include <array>
#include <cstddef>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"

namespace insula::fault {
namespace {

constexpr std::array<std::string_view, kMutations> kNames = {
    "skip-fsync",   "read-without-lease", "drop-timestamp-cache", "count-quorum-wrongly", "forget-lock",       "apply-twice", "truncate-early",
    "zombie-writes", "ignore-uncertainty", "skip-refresh",         "forget-rollback",      "lose-abort-marker", "forget-reads",         "answer-early",
    "forget-data-sync",
};

constinit Probe* first_probe = nullptr;

}  // namespace

std::string_view NameOf(Mutation mutation) { return kNames[static_cast<size_t>(mutation)]; }

Probe::Probe(const char* name) : name_(name), next_(first_probe) { first_probe = this; }

std::map<std::string, uint64_t> ProbeHits() {
  std::map<std::string, uint64_t> hits;
  for (const Probe* probe = first_probe; probe != nullptr; probe = probe->next()) hits[probe->name()] += probe->hits();
  return hits;
}

}  // namespace insula::fault

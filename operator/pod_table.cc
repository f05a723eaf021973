#include "operator/pod_table.h"

#include <algorithm>

namespace insula::ops {
namespace {
// Tombstones serve watchers that are a moment behind; one that is further behind is given the full state by its reconnect.
constexpr size_t kMaxTombstones = 4096;
}  // namespace

void PodTable::Touch(Row& row) {
  row.version = ++version_;
  changed_.NotifyAll();
}

void PodTable::Put(Pod pod) {
  Row& row = rows_[pod.id()];
  row.pod = std::move(pod);
  row.removed = false;
  Touch(row);
}

void PodTable::Remove(const std::string& id) {
  auto it = rows_.find(id);
  if (it == rows_.end() || it->second.removed) return;
  it->second.removed = true;
  Touch(it->second);
  size_t tombstones = std::count_if(rows_.begin(), rows_.end(), [](auto& r) { return r.second.removed; });
  if (tombstones <= kMaxTombstones) return;
  auto oldest = rows_.end();
  for (auto r = rows_.begin(); r != rows_.end(); ++r) {
    if (r->second.removed && (oldest == rows_.end() || r->second.version < oldest->second.version)) oldest = r;
  }
  rows_.erase(oldest);
}

const Pod* PodTable::Find(const std::string& id) const {
  auto it = rows_.find(id);
  return it == rows_.end() || it->second.removed ? nullptr : &it->second.pod;
}

std::vector<Pod> PodTable::All() const {
  std::vector<Pod> out;
  for (auto& [id, row] : rows_) {
    if (!row.removed) out.push_back(row.pod);
  }
  return out;
}

std::vector<Pod> PodTable::OfTenant(TenantId tenant) const {
  std::vector<Pod> out;
  for (auto& [id, row] : rows_) {
    if (!row.removed && row.pod.tenant_id() == tenant) out.push_back(row.pod);
  }
  return out;
}

std::optional<Pod> PodTable::ReadyPod(TenantId tenant) const {
  for (auto& [id, row] : rows_) {
    if (!row.removed && row.pod.tenant_id() == tenant && row.pod.state() == v1::READY) return row.pod;
  }
  return std::nullopt;
}

std::optional<Pod> PodTable::Pluck() {
  for (auto& [id, row] : rows_) {
    if (row.removed || row.pod.state() != v1::PREWARMED) continue;
    row.pod.set_state(v1::STAMPING);
    Touch(row);
    return row.pod;
  }
  return std::nullopt;
}

size_t PodTable::Count(v1::PodState state) const {
  return std::count_if(rows_.begin(), rows_.end(), [state](auto& r) { return !r.second.removed && r.second.pod.state() == state; });
}

PodTable::Changes PodTable::Since(uint64_t version) const {
  Changes out;
  for (auto& [id, row] : rows_) {
    if (row.version <= version) continue;
    if (row.removed) {
      out.removed.push_back(id);
    } else {
      out.changed.push_back(row.pod);
    }
  }
  return out;
}

}  // namespace insula::ops

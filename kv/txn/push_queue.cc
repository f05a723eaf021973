#include "kv/txn/push_queue.h"

#include <utility>

namespace insula::kv {
namespace {
constexpr size_t kMaxEdges = 256;
}

PushQueue::Entry::Entry(PushQueue* queue, const v1::TxnMeta& pushee, const v1::TxnMeta* pusher) : queue_(queue), pushee_(pushee.id()) {
  if (pusher != nullptr) edge_ = {pusher->id(), Timestamp{pusher->min_ts()}, pushee.id()};
  auto& waiting = queue_->queues_[pushee_];
  self_ = waiting.insert(waiting.end(), this);
}

PushQueue::Entry::~Entry() {
  auto it = queue_->queues_.find(pushee_);
  it->second.erase(self_);
  if (it->second.empty()) queue_->queues_.erase(it);
}

bool PushQueue::Entry::SetEdges(std::vector<WaitEdge> edges) {
  edges_ = Deduplicate(std::move(edges), kMaxEdges);
  if (edge_.waiter.empty()) return false;
  auto victim = DeadlockVictim(edge_, edges_);
  return victim && *victim == edge_.waiter;
}

void PushQueue::Notify(std::string_view txn_id) {
  auto it = queues_.find(txn_id);
  if (it == queues_.end()) return;
  for (Entry* entry : it->second) entry->changed_.NotifyAll();
}

void PushQueue::NotifyAll() {
  for (auto& [id, entries] : queues_) {
    for (Entry* entry : entries) entry->changed_.NotifyAll();
  }
}

std::vector<WaitEdge> PushQueue::EdgesTo(std::string_view txn_id) const {
  std::vector<WaitEdge> edges;
  auto it = queues_.find(txn_id);
  if (it == queues_.end()) return edges;
  for (const Entry* entry : it->second) {
    if (entry->edge_.waiter.empty()) continue;
    edges.push_back(entry->edge_);
    edges.insert(edges.end(), entry->edges_.begin(), entry->edges_.end());
  }
  return Deduplicate(std::move(edges), kMaxEdges);
}

}  // namespace insula::kv

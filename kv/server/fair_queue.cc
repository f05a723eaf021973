#include "kv/server/fair_queue.h"

#include <algorithm>

#include "base/check.h"

namespace insula::kv {

FairQueue::Flow::~Flow() { CHECK(size_ == 0) << "a flow goes while items of it wait"; }

void FairQueue::Push(Flow* flow, Item* item, int64_t cost, int priority) {
  CHECK(!item->queued()) << "an item waits once";
  std::list<Item*>& row = flow->items_[priority];
  item->queue_ = this;
  item->flow_ = flow;
  item->cost_ = cost;
  item->priority_ = priority;
  item->at_ = row.insert(row.end(), item);
  ++size_;
  if (++flow->size_ > 1) return;
  flow->tag_ = std::max(flow->tag_, virtual_time_);
  waiting_.insert(flow);
}

void FairQueue::Remove(Item* item) {
  Flow* flow = item->flow_;
  auto row = flow->items_.find(item->priority_);
  row->second.erase(item->at_);
  if (row->second.empty()) flow->items_.erase(row);
  item->queue_ = nullptr;
  --size_;
  if (--flow->size_ == 0) waiting_.erase(flow);
}

FairQueue::Item* FairQueue::Drop(Flow* flow) {
  if (flow->size_ == 0) return nullptr;
  Item* item = flow->items_.begin()->second.front();
  Remove(item);
  return item;
}

FairQueue::Item* FairQueue::Pop() {
  if (waiting_.empty()) return nullptr;
  Flow* flow = *waiting_.begin();
  virtual_time_ = std::max(virtual_time_, flow->tag_);
  Item* item = flow->items_.begin()->second.front();
  Charge(flow, item->cost_);
  Remove(item);
  return item;
}

void FairQueue::Charge(Flow* flow, int64_t cost) {
  const bool waits = flow->size_ > 0;
  if (waits) waiting_.erase(flow);
  const int64_t start = std::max(flow->tag_, virtual_time_);
  // While nobody waits there is nothing to share: time goes on with whoever is served, so nobody runs up a debt alone.
  if (waiting_.empty() && !waits) virtual_time_ = start;
  flow->tag_ = start + Scaled(cost, flow->weight_);
  if (waits) waiting_.insert(flow);
}

}  // namespace insula::kv

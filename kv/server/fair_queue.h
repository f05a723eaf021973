// Weighted fair queueing: whose turn it is, among flows (tenants) that all want more than there is.
// Start-time fair queueing (Goyal, Vin, Cheng 1996), with one tag per flow.
//
//   flow A, weight 1   [a1 a2 a3 a4 …]   start 300 ─┐
//   flow B, weight 2   [b1]              start 120 ─┼─► Pop: the flow with the lowest start; its start rises by cost ÷ weight
//   flow C, idle       finish 90                    ┘     a flow that comes back starts at max(virtual time, its finish)
//
// Invariants:
//   F1  Between two flows that both wait, the work served ÷ weight differs by at most one item of each.
//   F2  A flow that was idle has no credit: it starts at the virtual time. So it waits for at most one item of each other flow.
//   F3  Within a flow: by priority, then in order of arrival.
// What was not foreseen is charged afterwards (Charge), and moves the flow's next start.
// Pure: no clock, no executor. Flows outlive their items; items leave by Pop, Remove or their own destructor.
#ifndef INSULA_KV_SERVER_FAIR_QUEUE_H_
#define INSULA_KV_SERVER_FAIR_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <set>
#include <utility>

namespace insula::kv {

class FairQueue {
 public:
  class Item;

  class Flow {
   public:
    explicit Flow(uint64_t number) : number_(number) {}
    Flow(const Flow&) = delete;
    Flow& operator=(const Flow&) = delete;
    ~Flow();
    // At least 1; counts from the next item on.
    void set_weight(uint32_t weight) { weight_ = weight == 0 ? 1 : weight; }
    uint32_t weight() const { return weight_; }
    size_t size() const { return size_; }

   private:
    friend class FairQueue;
    const uint64_t number_;  // decides between equals
    uint32_t weight_ = 1;
    int64_t tag_ = 0;  // waiting: its start; idle: its finish
    size_t size_ = 0;
    std::map<int, std::list<Item*>, std::greater<>> items_;  // by priority
  };

  class Item {
   public:
    Item() = default;
    Item(const Item&) = delete;
    Item& operator=(const Item&) = delete;
    ~Item() {
      if (queue_ != nullptr) queue_->Remove(this);
    }
    int64_t cost() const { return cost_; }
    bool queued() const { return queue_ != nullptr; }

   private:
    friend class FairQueue;
    FairQueue* queue_ = nullptr;
    Flow* flow_ = nullptr;
    int64_t cost_ = 0;
    int priority_ = 0;
    std::list<Item*>::iterator at_;
  };

  FairQueue() = default;
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;

  void Push(Flow* flow, Item* item, int64_t cost, int priority);
  // The next one to serve, its cost accounted for; null: nobody waits.
  Item* Pop();
  // The first that waits in `flow`, taken out unserved; null: none.
  Item* Drop(Flow* flow);
  void Remove(Item* item);
  // Accounts for work of `flow` that did not wait, or cost more than was said.
  void Charge(Flow* flow, int64_t cost);

  bool empty() const { return waiting_.empty(); }
  size_t size() const { return size_; }
  size_t waiting_flows() const { return waiting_.size(); }

 private:
  struct ByStart {
    bool operator()(const Flow* a, const Flow* b) const { return std::pair(a->tag_, a->number_) < std::pair(b->tag_, b->number_); }
  };
  static int64_t Scaled(int64_t cost, uint32_t weight) { return cost * kScale / weight; }

  static constexpr int64_t kScale = 256;  // a weight divides exactly enough
  std::set<Flow*, ByStart> waiting_;
  int64_t virtual_time_ = 0;
  size_t size_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_FAIR_QUEUE_H_

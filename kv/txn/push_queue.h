// Pushes that wait at their pushee's record, for one range, and whom they were seen to hold up.
//
//   pushee | waiting pushers, by arrival
//   -------+-----------------------------------------------
//   B      | A (holds up: D) , C
//
// A waiting pusher asks its own record's leaseholder now and then who waits for it. Those edges stand with it here, and are part of
// the answer when somebody asks who waits for B. So every edge of a cycle meets the others within as many questions as it has members.
// Loop thread only.
#ifndef INSULA_KV_TXN_PUSH_QUEUE_H_
#define INSULA_KV_TXN_PUSH_QUEUE_H_

#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/async/wait.h"
#include "kv/concurrency/deadlock.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

class PushQueue {
 public:
  // One waiting push. Leaves the queue when destroyed.
  class Entry {
   public:
    Entry(PushQueue* queue, const v1::TxnMeta& pushee, const v1::TxnMeta* pusher);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();

    Condition& changed() { return changed_; }
    // What is known of who waits for the pusher. Tells whether it is the one to give up because of a deadlock.
    bool SetEdges(std::vector<WaitEdge> edges);

   private:
    friend class PushQueue;
    PushQueue* queue_;
    std::string pushee_;
    WaitEdge edge_;  // pusher -> pushee; no waiter if the pusher is no transaction
    std::vector<WaitEdge> edges_;
    Condition changed_;
    std::list<Entry*>::iterator self_;
  };

  PushQueue() = default;
  PushQueue(const PushQueue&) = delete;
  PushQueue& operator=(const PushQueue&) = delete;

  // Something about the pushee changed: its waiters look again.
  void Notify(std::string_view txn_id);
  void NotifyAll();
  // Everybody known to wait for `txn_id`, directly and over others.
  std::vector<WaitEdge> EdgesTo(std::string_view txn_id) const;
  bool empty() const { return queues_.empty(); }

 private:
  std::map<std::string, std::list<Entry*>, std::less<>> queues_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_PUSH_QUEUE_H_

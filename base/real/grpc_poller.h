// The one thread that drives gRPC for a transport: takes completions off the queue and runs them (private to base/real).
//
// One thread on purpose: gRPC lets all threads that wait on its queues take turns at polling the sockets, and every turn
// costs thread switches. It sleeps in the kernel when nothing happens.
#ifndef INSULA_BASE_REAL_GRPC_POLLER_H_
#define INSULA_BASE_REAL_GRPC_POLLER_H_

#include <grpcpp/server_builder.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace insula::real {

// What a gRPC operation was started with.
class Completion {
 public:
  virtual ~Completion() = default;
  // On the poller's thread. `ok` as gRPC means it.
  virtual void Complete(bool ok) = 0;
  // Whether to run only after everything else that is complete at the same time.
  virtual bool Late(bool ok) const { return false; }
};

class GrpcPoller {
 public:
  // The queue comes from a server builder, so that a server can use it as well as clients.
  explicit GrpcPoller(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  // All calls must have ended: WaitIdle.
  ~GrpcPoller();

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }

  void CallBegins();
  void CallEnded();
  // Blocks until every call has ended. Not on the poller's thread.
  void WaitIdle();

 private:
  void Main();

  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::mutex mutex_;
  std::condition_variable idle_;
  int calls_ = 0;
  std::thread thread_;
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_POLLER_H_

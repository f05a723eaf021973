#include "base/real/grpc_poller.h"

#include <signal.h>

#include <utility>
#include <vector>

#include "base/check.h"

namespace insula::real {

GrpcPoller::GrpcPoller(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)), thread_([this] { Main(); }) {}

GrpcPoller::~GrpcPoller() {
  queue_->Shutdown();
  thread_.join();
}

void GrpcPoller::CallBegins() {
  std::lock_guard<std::mutex> lock(mutex_);
  ++calls_;
}

void GrpcPoller::CallEnded() {
  std::lock_guard<std::mutex> lock(mutex_);
  CHECK(calls_ > 0);
  if (--calls_ == 0) idle_.notify_all();
}

void GrpcPoller::WaitIdle() {
  std::unique_lock<std::mutex> lock(mutex_);
  idle_.wait(lock, [this] { return calls_ == 0; });
}

void GrpcPoller::Main() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::vector<std::pair<Completion*, bool>> late;
  void* tag = nullptr;
  bool ok = false;
  while (true) {
    if (late.empty()) {
      if (!queue_->Next(&tag, &ok)) return;
    } else {
      auto status = queue_->AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_REALTIME));  // only what is there
      if (status != grpc::CompletionQueue::GOT_EVENT) {
        auto now = std::exchange(late, {});
        for (auto& [completion, was_ok] : now) completion->Complete(was_ok);
        continue;
      }
    }
    auto* completion = static_cast<Completion*>(tag);
    if (completion->Late(ok)) {
      late.emplace_back(completion, ok);
    } else {
      completion->Complete(ok);
    }
  }
}

}  // namespace insula::real

// One gRPC stream between gRPC's thread and the loop, for both sides of a call (private to base/real; shows gRPC).
//
//   poller thread                                  loop
//   read complete  ─► inbox  ──(post, only if somebody waits)──►  Receive
//   write complete ◄─ outbox ◄──────────────────────────────────  Send; the next write starts on the poller's thread
//
// Invariants, under mutex_:
//   G1  At most one read and one write are under way; a write is, while the outbox is not empty.
//   G2  A read is under way unless the inbox is full or input has ended.
//   G3  The stream owns itself while operations are under way, and until gRPC is done with the call.
// Lock order: mutex_, then PostQueue's. gRPC's operations are started under mutex_; they complete on the poller's thread.
#ifndef INSULA_BASE_REAL_GRPC_STREAM_H_
#define INSULA_BASE_REAL_GRPC_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/real/grpc_poller.h"
#include "base/real/loop.h"
#include "base/runtime/transport.h"

namespace insula::real {

absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

class GrpcStream : public std::enable_shared_from_this<GrpcStream> {
 public:
  GrpcStream(std::shared_ptr<PostQueue> posts, GrpcPoller* poller) : posts_(std::move(posts)), poller_(poller) {}
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;
  virtual ~GrpcStream() = default;

  // ---- loop
  Task<absl::Status> Send(const Context& ctx, std::string message);
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx);

 protected:
  // One kind of operation under way at most once at a time.
  class Op : public Completion {
   public:
    using Done = void (GrpcStream::*)(bool ok);
    Op(GrpcStream* stream, Done done, bool late = false) : stream_(stream), done_(done), late_(late) {}
    // To be handed to gRPC. Under mutex_.
    void* Start() {
      ++stream_->ops_;
      return static_cast<Completion*>(this);
    }
    void Complete(bool ok) override { stream_->OpDone(done_, ok); }
    bool Late(bool ok) const override { return late_ && !ok; }

   private:
    GrpcStream* stream_;
    Done done_;
    bool late_;
  };

  // Call before the first operation.
  void Begin();
  // What each side does of gRPC. All under mutex_.
  // False: not yet, StartOutbox will be called when writing is possible.
  virtual bool MayWrite() { return true; }
  virtual void BeforeReceive() {}
  virtual void StartRead(grpc::ByteBuffer* into, void* tag) = 0;
  virtual void StartWrite(const grpc::ByteBuffer& message, bool more_follows, void* tag) = 0;
  virtual void OnInputEnd() = 0;
  virtual void OnOutboxEmpty() = 0;
  // What Receive gives at the end of input; nullopt: not known yet.
  virtual std::optional<absl::Status> EndOfInput() = 0;

  void Read();         // under mutex_
  void StartOutbox();  // under mutex_; writes the first message, if there is one
  void Notify();       // under mutex_; wakes whoever waits on the loop
  void ClearInbox() {
    inbox_.clear();
    inbox_bytes_ = 0;
  }

  std::shared_ptr<PostQueue> posts_;
  GrpcPoller* poller_;  // valid while the call is not complete
  std::mutex mutex_;
  // Under mutex_:
  bool reading_ = false;
  bool input_ended_ = false;
  std::deque<grpc::ByteBuffer> outbox_;  // the first one is being written
  bool output_broken_ = false;
  bool output_closed_ = false;  // CloseSend, or the server's end
  bool abandoned_ = false;      // the stream's object is gone: discard what still comes
  bool complete_ = false;       // gRPC is done with the call but for operations under way

 private:
  void OpDone(Op::Done done, bool ok);
  void ReadDone(bool ok);
  void WriteDone(bool ok);

  std::deque<std::string> inbox_;
  size_t inbox_bytes_ = 0;
  size_t outbox_bytes_ = 0;
  bool somebody_waits_ = false;
  int ops_ = 0;
  grpc::ByteBuffer read_buffer_;
  Op read_op_{this, &GrpcStream::ReadDone, /*late=*/true};
  Op write_op_{this, &GrpcStream::WriteDone};
  std::shared_ptr<GrpcStream> self_;
  Condition changed_;  // loop
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_STREAM_H_

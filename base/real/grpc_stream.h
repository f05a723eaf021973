// One gRPC stream between gRPC's threads and the loop, for both sides of a call (private to base/real; shows gRPC).
//
//   gRPC threads                                   loop
//   OnReadDone  ─► inbox  ──(post, only if somebody waits)──►  Receive
//   OnWriteDone ◄─ outbox ◄──────────────────────────────────  Send; the next write starts on gRPC's thread
//
// Invariants, under mutex_:
//   G1  At most one read and one write are under way; a write is, while the outbox is not empty and output is not broken.
//   G2  A read is under way unless the inbox is full or input has ended.
// Lock order: mutex_ is a leaf, but gRPC's Start… functions are called under it; gRPC calls back on its own threads only.
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
#include "base/real/loop.h"
#include "base/runtime/transport.h"

namespace insula::real {

grpc::ByteBuffer ToByteBuffer(std::string bytes);
std::string ToString(const grpc::ByteBuffer& buffer);
absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

class GrpcStream : public std::enable_shared_from_this<GrpcStream> {
 public:
  explicit GrpcStream(std::shared_ptr<PostQueue> posts) : posts_(std::move(posts)) {}
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;
  virtual ~GrpcStream() = default;

  // ---- loop
  Task<absl::Status> Send(const Context& ctx, std::string message);
  Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx);

 protected:
  // What the stream does of gRPC, by side. Under mutex_, except StartWriting.
  virtual void StartReading(grpc::ByteBuffer* into) = 0;
  // Keeps the call alive until StartWriting has returned, if it can end by itself. Under mutex_.
  virtual void HoldForWrite() {}
  virtual void StartWriting(const grpc::ByteBuffer* message, bool more_follows) = 0;
  virtual void OnInputEnd() {}
  virtual void OnOutboxEmpty() {}
  // What Receive gives at the end of input, once known; nullopt: wait for OnDone. Under mutex_.
  virtual std::optional<absl::Status> EndOfInput() = 0;

  // ---- gRPC threads, from the reactors
  void ReadDone(bool ok);
  void WriteDone(bool ok);
  // Wakes whoever waits on the loop. Under mutex_.
  void Notify();

  std::shared_ptr<PostQueue> posts_;
  std::mutex mutex_;
  // Under mutex_:
  std::deque<std::string> inbox_;
  size_t inbox_bytes_ = 0;
  bool reading_ = false;
  bool input_ended_ = false;
  std::deque<grpc::ByteBuffer> outbox_;
  size_t outbox_bytes_ = 0;
  bool output_broken_ = false;
  bool output_closed_ = false;  // CloseSend, or the server's end
  bool abandoned_ = false;      // the stream's object is gone: discard what still comes
  bool somebody_waits_ = false;
  grpc::ByteBuffer read_buffer_;  // of the read under way

 private:
  Condition changed_;  // loop
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_STREAM_H_

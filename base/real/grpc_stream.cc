#include "base/real/grpc_stream.h"

#include <grpc/slice.h>

#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::real {
namespace {

// What may wait in memory per stream and direction, beyond gRPC's own windows.
constexpr size_t kInboxBytes = 1 << 20;
constexpr size_t kInboxMessages = 256;
constexpr size_t kOutboxBytes = 1 << 20;
// From here on a message's bytes are handed to gRPC instead of copied.
constexpr size_t kCopyLimit = 8 << 10;

grpc::ByteBuffer ToByteBuffer(std::string bytes) {
  if (bytes.size() <= kCopyLimit) {
    grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
  }
  auto* owned = new std::string(std::move(bytes));
  auto destroy = [](void* p) { delete static_cast<std::string*>(p); };
  grpc::Slice slice(grpc_slice_new_with_user_data(owned->data(), owned->size(), destroy, owned), grpc::Slice::STEAL_REF);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  grpc::Slice single;
  if (buffer.TrySingleSlice(&single).ok()) return std::string(reinterpret_cast<const char*>(single.begin()), single.size());
  std::vector<grpc::Slice> slices;
  CHECK(buffer.Dump(&slices).ok());
  std::string out;
  out.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

}  // namespace

// The two libraries' codes have the same numbers.
absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

// --------------------------------------------------------------------------------------------------------------- loop

Task<absl::Status> GrpcStream::Send(const Context& ctx, std::string message) {
  if (message.size() > kMaxMessageBytes) co_return absl::ResourceExhaustedError(StrCat("a message of ", message.size(), " bytes is too large"));
  size_t size = message.size();
  grpc::ByteBuffer buffer = ToByteBuffer(std::move(message));
  while (true) {
    if (ctx.done()) co_return ctx.status();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (output_broken_) co_return absl::UnavailableError("the stream is broken");
      CHECK(!output_closed_) << "Send after the end";
      if (outbox_bytes_ < kOutboxBytes) {
        outbox_.push_back(std::move(buffer));
        outbox_bytes_ += size;
        if (outbox_.size() == 1 && MayWrite()) StartOutbox();
        co_return absl::OkStatus();
      }
      somebody_waits_ = true;
    }
    CO_RETURN_IF_ERROR(co_await changed_.Wait(ctx));
  }
}

Task<absl::StatusOr<std::optional<std::string>>> GrpcStream::Receive(const Context& ctx) {
  while (true) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      BeforeReceive();
      if (!inbox_.empty()) {
        std::optional<std::string> message = std::move(inbox_.front());
        inbox_.pop_front();
        inbox_bytes_ -= message->size();
        if (!reading_ && !input_ended_) Read();
        co_return message;
      }
      if (input_ended_) {
        if (auto end = EndOfInput()) {
          if (end->ok()) co_return std::nullopt;
          co_return *end;
        }
      }
      somebody_waits_ = true;
    }
    CO_RETURN_IF_ERROR(co_await changed_.Wait(ctx));
  }
}

// -------------------------------------------------------------------------------------------------------- both threads

void GrpcStream::Begin() {
  self_ = shared_from_this();
  poller_->CallBegins();
}

void GrpcStream::Read() {
  reading_ = true;
  StartRead(&read_buffer_, read_op_.Start());
}

void GrpcStream::StartOutbox() {
  if (!outbox_.empty()) StartWrite(outbox_.front(), outbox_.size() > 1, write_op_.Start());
}

void GrpcStream::Notify() {
  if (!std::exchange(somebody_waits_, false)) return;
  posts_->Post([self = shared_from_this()] { self->changed_.NotifyAll(); });
}

// ------------------------------------------------------------------------------------------------------ poller thread

void GrpcStream::OpDone(Op::Done done, bool ok) {
  (this->*done)(ok);
  std::shared_ptr<GrpcStream> last;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (--ops_ > 0 || !complete_) return;
    last = std::move(self_);
  }
  // The last reference goes on the loop, where waiters and contexts live.
  GrpcPoller* poller = poller_;
  posts_->Post([last = std::move(last)] {});
  poller->CallEnded();
}

void GrpcStream::ReadDone(bool ok) {
  std::string message;
  if (ok) message = ToString(read_buffer_);
  std::lock_guard<std::mutex> lock(mutex_);
  read_buffer_.Clear();
  reading_ = false;
  if (!ok) {
    input_ended_ = true;
    OnInputEnd();
  } else if (abandoned_) {
    Read();
  } else {
    inbox_bytes_ += message.size();
    inbox_.push_back(std::move(message));
    if (inbox_bytes_ < kInboxBytes && inbox_.size() < kInboxMessages) Read();
  }
  Notify();
}

void GrpcStream::WriteDone(bool ok) {
  std::lock_guard<std::mutex> lock(mutex_);
  outbox_bytes_ -= outbox_.front().Length();
  outbox_.pop_front();
  if (!ok || output_broken_) {
    output_broken_ = true;
    outbox_.clear();
    outbox_bytes_ = 0;
  }
  if (outbox_.empty()) {
    OnOutboxEmpty();
  } else {
    StartOutbox();
  }
  Notify();
}

}  // namespace insula::real

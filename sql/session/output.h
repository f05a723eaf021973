// What a session says to its client: messages gathered in a buffer, so that a statement that must be run again can take its
// words back as long as none has been sent.
//
//   mark = out.Here();  … rows …  40001:  out.sent_after(mark)? the client sees the error : out.TakeBack(mark), again
//
// Thread safety: one session.
#ifndef INSULA_SQL_SESSION_OUTPUT_H_
#define INSULA_SQL_SESSION_OUTPUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/check.h"

namespace insula::sql {

// The client's side of a session: a connection, or whatever a test puts there.
class ClientChannel {
 public:
  virtual ~ClientChannel() = default;
  virtual Task<absl::Status> Write(const Context& ctx, std::string_view bytes) = 0;
  // The next piece of COPY data: nullopt after CopyDone; 57014 `COPY from stdin failed: …` after CopyFail; 08P01 for other
  // messages; kUnavailable when the client is gone.
  virtual Task<absl::StatusOr<std::optional<std::string>>> ReadCopyData(const Context& ctx) = 0;
};

class Output {
 public:
  explicit Output(ClientChannel* channel) : channel_(channel) {}

  // Append messages here.
  std::string* bytes() { return &bytes_; }

  using Mark = uint64_t;
  Mark Here() const { return sent_ + bytes_.size(); }
  bool sent_after(Mark mark) const { return sent_ > mark; }
  void TakeBack(Mark mark) {
    CHECK(!sent_after(mark));
    bytes_.resize(mark - sent_);
  }

  // What is buffered before it is sent on its own account: room for a retry to go unseen.
  static constexpr size_t kHoldBytes = 16 << 10;

  Task<absl::Status> Flush(const Context& ctx) {
    if (bytes_.empty()) co_return absl::OkStatus();
    // The bytes stay counted as sent even if the write fails: they may have arrived.
    sent_ += bytes_.size();
    std::string bytes = std::move(bytes_);
    bytes_.clear();
    absl::Status s = co_await channel_->Write(ctx, bytes);
    // Keep the capacity for the next batch, unless it was unusually large.
    if (bytes_.empty() && bytes.capacity() <= 4 * kHoldBytes) {
      bytes.clear();
      bytes_ = std::move(bytes);
    }
    co_return s;
  }
  bool large() const { return bytes_.size() >= kHoldBytes; }

  ClientChannel& channel() { return *channel_; }

 private:
  ClientChannel* channel_;
  std::string bytes_;
  uint64_t sent_ = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_OUTPUT_H_

// Messages off a byte stream, one after another, bounded.
//
//   stream:  … | T | length (4, counts itself) | body |  …       startup packets have no T
//   buffer:  [ consumed | next messages … | free ]
//
// Invariants:
//   F1  A frame's payload points into the buffer and is valid until the next call of Next, TryNext or Fill.
//   F2  The buffer never grows past the largest message allowed plus one read; when a large message has been consumed it
//       shrinks again, so an idle connection holds at most kReadBytes.
//   F3  Bytes read past what was asked for stay: TakeBuffered() hands them to a TLS handshake or to a forwarder.
// Thread safety: one coroutine at a time.
#ifndef INSULA_BASE_PGWIRE_FRAME_H_
#define INSULA_BASE_PGWIRE_FRAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/net.h"

namespace insula::pgwire {

inline constexpr size_t kReadBytes = 8192;
inline constexpr size_t kMaxStartupBytes = 10000;

struct FrameLimits {
  // Query, Parse, Bind, CopyData, FunctionCall; body and length field.
  size_t max_large_bytes = 64 << 20;
  // All others; also what a client may send before it is authenticated.
  size_t max_small_bytes = 10000;
  // A reader of a server's messages takes large ones of every type.
  bool from_server = false;
};

struct Frame {
  char type = 0;
  std::string_view payload;
};

class FrameReader {
 public:
  explicit FrameReader(ByteStream* stream, FrameLimits limits = {}) : stream_(stream), limits_(limits) {}

  // The next message; nullopt at an orderly end between messages. 08P01 for an impossible type or length, or when the stream
  // ends within a message. After an error the stream is out of step: close it.
  Task<absl::StatusOr<std::optional<Frame>>> Next(const Context& ctx);
  // The same, from what is buffered: nullopt if no whole message is there. No allocation, no wait.
  absl::StatusOr<std::optional<Frame>> TryNext();
  // A startup packet's body (without its length); nullopt if the stream ended before its first byte.
  Task<absl::StatusOr<std::optional<std::string_view>>> NextStartup(const Context& ctx);

  // Reads once more into the buffer: false at the stream's end.
  Task<absl::StatusOr<bool>> Fill(const Context& ctx);
  // What was read and not yet consumed.
  std::string_view buffered() const { return std::string_view(buffer_.data() + begin_, end_ - begin_); }
  std::string TakeBuffered();

  void set_limits(FrameLimits limits) { limits_ = limits; }
  const FrameLimits& limits() const { return limits_; }

 private:
  size_t LimitFor(char type) const;
  void Consume(size_t n) { begin_ += n; }
  void Shrink();

  ByteStream* stream_;
  FrameLimits limits_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;
  size_t wanted_ = 0;  // whole size of the message at begin_, where known
};

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_FRAME_H_

#include "base/pgwire/frame.h"

#include <algorithm>
#include <cstring>

#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

bool IsMessageType(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '1' && c <= '3'); }

}  // namespace

size_t FrameReader::LimitFor(char type) const {
  if (limits_.from_server) return limits_.max_large_bytes;
  switch (type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'd':
    case 'F':
      return limits_.max_large_bytes;
    default:
      return std::min(limits_.max_small_bytes, limits_.max_large_bytes);
  }
}

absl::StatusOr<std::optional<Frame>> FrameReader::TryNext() {
  if (begin_ == end_) Shrink();
  size_t have = end_ - begin_;
  if (have == 0) return std::optional<Frame>();
  const char* at = buffer_.data() + begin_;
  if (!IsMessageType(at[0])) {
    return ProtocolError(StrCat("invalid frontend message type ", static_cast<int>(static_cast<unsigned char>(at[0]))));
  }
  if (have < 5) return std::optional<Frame>();
  size_t length = GetInt32(at + 1);
  if (length < 4 || length > LimitFor(at[0])) return ProtocolError("invalid message length");
  wanted_ = length + 1;
  if (have < wanted_) return std::optional<Frame>();
  Frame frame{at[0], std::string_view(at + 5, length - 4)};
  Consume(wanted_);
  wanted_ = 0;
  return std::optional<Frame>(frame);
}

Task<absl::StatusOr<std::optional<Frame>>> FrameReader::Next(const Context& ctx) {
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<Frame> frame, TryNext());
    if (frame) co_return frame;
    CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
    if (more) continue;
    if (begin_ == end_) co_return std::optional<Frame>();
    co_return ProtocolError("unexpected EOF within message");
  }
}

Task<absl::StatusOr<std::optional<std::string_view>>> FrameReader::NextStartup(const Context& ctx) {
  for (;;) {
    if (begin_ == end_) Shrink();
    size_t have = end_ - begin_;
    if (have >= 4) {
      size_t length = GetInt32(buffer_.data() + begin_);
      if (length < 8 || length > kMaxStartupBytes) co_return ProtocolError("invalid length of startup packet");
      wanted_ = length;
      if (have >= length) {
        std::string_view body(buffer_.data() + begin_ + 4, length - 4);
        Consume(length);
        wanted_ = 0;
        co_return std::optional<std::string_view>(body);
      }
    }
    CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
    if (more) continue;
    if (have == 0) co_return std::optional<std::string_view>();
    co_return ProtocolError("incomplete startup packet");
  }
}

Task<absl::StatusOr<bool>> FrameReader::Fill(const Context& ctx) {
  if (begin_ == end_) Shrink();
  // Room for the rest of the message at hand, at least one read. Grow with what arrives, so that a length alone costs nothing.
  size_t have = end_ - begin_;
  if (begin_ > 0 && (buffer_.size() - end_ < kReadBytes / 2 || begin_ > have)) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, have);
    begin_ = 0;
    end_ = have;
  }
  if (buffer_.size() - end_ < kReadBytes / 2) {
    size_t target = std::max(buffer_.size() + kReadBytes, std::min(wanted_ + kReadBytes, buffer_.size() * 2));
    buffer_.resize(target);
  }
  CO_ASSIGN_OR_RETURN(size_t n, co_await stream_->Read(ctx, buffer_.data() + end_, buffer_.size() - end_));
  end_ += n;
  co_return n > 0;
}

std::string FrameReader::TakeBuffered() {
  std::string out(buffered());
  begin_ = end_ = 0;
  wanted_ = 0;
  return out;
}

void FrameReader::Shrink() {
  begin_ = end_ = 0;
  if (buffer_.size() > kReadBytes) {
    buffer_.resize(kReadBytes);
    buffer_.shrink_to_fit();
  }
}

}  // namespace insula::pgwire

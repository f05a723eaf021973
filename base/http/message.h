// Reading and writing of HTTP/1.1 messages (private to base/http).
//
// Strict on purpose: what two implementations could read differently (two lengths, folded lines, stray spaces) is refused.
#ifndef INSULA_BASE_HTTP_MESSAGE_H_
#define INSULA_BASE_HTTP_MESSAGE_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/http/http.h"
#include "base/runtime/net.h"

namespace insula::http {

inline constexpr size_t kMaxHeadBytes = 16 << 10;
inline constexpr size_t kMaxHeaders = 100;

// The start line's three words and the headers.
struct Head {
  std::string first;
  std::string second;
  std::string third;
  HttpHeaders headers;

  std::string_view Get(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? std::string_view() : std::string_view(it->second);
  }
};

// `text`: everything before the empty line, lines ended by CRLF. kInvalidArgument if malformed.
absl::StatusOr<Head> ParseHead(std::string_view text);

// How long a body is: a length, or in chunks, or (a response only) to the end of the connection.
struct BodyLength {
  bool chunked = false;
  std::optional<uint64_t> length;
};
absl::StatusOr<BodyLength> ParseBodyLength(const Head& head);

// Takes messages off a stream.
class Reader {
 public:
  explicit Reader(ByteStream* stream) : stream_(stream) {}
  // Waits for the first byte of the next message; false at the end of the connection.
  Task<absl::StatusOr<bool>> WaitForMessage(const Context& ctx);
  Task<absl::StatusOr<Head>> ReadHead(const Context& ctx);
  // kResourceExhausted if it is longer than `limit`. `to_end`: without a length it goes on to the end of the connection.
  Task<absl::StatusOr<std::string>> ReadBody(const Context& ctx, const Head& head, size_t limit, bool to_end);

 private:
  // More bytes into the buffer; false at the end of the connection.
  Task<absl::StatusOr<bool>> Fill(const Context& ctx);
  Task<absl::StatusOr<std::string>> ReadLine(const Context& ctx, size_t limit);
  Task<absl::Status> ReadExactly(const Context& ctx, size_t n, std::string* out);
  Task<absl::StatusOr<std::string>> ReadChunks(const Context& ctx, size_t limit);

  ByteStream* stream_;
  std::string buffer_;
};

std::string_view ReasonPhrase(int status);
std::string WriteResponse(const HttpResponse& response, bool keep_alive, bool head_only);
// "a: b\r\n"; values with line ends are a programming error.
void AppendHeader(std::string* out, std::string_view name, std::string_view value);

struct Url {
  bool tls = false;
  std::string host;
  int port = 0;
  std::string target;  // path and query
};
absl::StatusOr<Url> ParseUrl(const std::string& url);

}  // namespace insula::http

#endif  // INSULA_BASE_HTTP_MESSAGE_H_

#include "base/http/message.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::http {
namespace {

absl::Status Malformed(std::string_view what) { return absl::InvalidArgumentError(StrCat("malformed HTTP: ", what)); }

bool IsTokenChar(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar); }

bool IsText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= ' ' ? c != 0x7f : c == '\t'; });
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits only, whole text.
std::optional<uint64_t> ParseNumber(std::string_view text, int base) {
  uint64_t out = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

absl::Status ParseHeader(std::string_view line, HttpHeaders* headers) {
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon)) || !IsText(line)) return Malformed("header line");
  if (headers->size() >= kMaxHeaders) return Malformed("too many headers");
  std::string name = AsciiLower(line.substr(0, colon));
  std::string_view value = Trim(line.substr(colon + 1));
  auto [it, added] = headers->emplace(name, value);
  if (added) return absl::OkStatus();
  if (name == "content-length" || name == "transfer-encoding" || name == "host") return Malformed(StrCat("two ", name, " headers"));
  StrAppend(&it->second, ", ", value);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Head> ParseHead(std::string_view text) {
  Head head;
  size_t end = std::min(text.find("\r\n"), text.size());
  std::string_view line = text.substr(0, end);
  size_t space1 = line.find(' ');
  if (space1 == std::string_view::npos || !IsText(line)) return Malformed("start line");
  size_t space2 = line.find(' ', space1 + 1);
  head.first = line.substr(0, space1);
  head.second = line.substr(space1 + 1, space2 == std::string_view::npos ? space2 : space2 - space1 - 1);
  if (space2 != std::string_view::npos) head.third = line.substr(space2 + 1);
  if (head.first.empty() || head.second.empty()) return Malformed("start line");
  while (end < text.size()) {
    text.remove_prefix(end + 2);
    end = std::min(text.find("\r\n"), text.size());
    RETURN_IF_ERROR(ParseHeader(text.substr(0, end), &head.headers));
  }
  return head;
}

absl::StatusOr<BodyLength> ParseBodyLength(const Head& head) {
  BodyLength out;
  auto encoding = head.headers.find("transfer-encoding");
  auto length = head.headers.find("content-length");
  if (encoding != head.headers.end()) {
    if (length != head.headers.end()) return Malformed("two lengths of one body");
    if (AsciiLower(encoding->second) != "chunked") return absl::UnimplementedError(StrCat("transfer encoding ", encoding->second));
    out.chunked = true;
    return out;
  }
  if (length == head.headers.end()) return out;
  out.length = ParseNumber(length->second, 10);
  if (!out.length) return Malformed("content-length");
  return out;
}

// -------------------------------------------------------------------------------------------------------------- reader

Task<absl::StatusOr<bool>> Reader::Fill(const Context& ctx) {
  char chunk[8192];
  CO_ASSIGN_OR_RETURN(size_t n, co_await stream_->Read(ctx, chunk, sizeof(chunk)));
  buffer_.append(chunk, n);
  co_return n > 0;
}

Task<absl::StatusOr<bool>> Reader::WaitForMessage(const Context& ctx) {
  if (!buffer_.empty()) co_return true;
  co_return co_await Fill(ctx);
}

Task<absl::StatusOr<Head>> Reader::ReadHead(const Context& ctx) {
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxHeadBytes) co_return absl::ResourceExhaustedError("the head of the message is too long");
    CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
    if (!more) co_return absl::UnavailableError("the connection ended inside a message");
  }
  if (end > kMaxHeadBytes) co_return absl::ResourceExhaustedError("the head of the message is too long");
  absl::StatusOr<Head> head = ParseHead(std::string_view(buffer_).substr(0, end));
  buffer_.erase(0, end + 4);
  co_return head;
}

Task<absl::StatusOr<std::string>> Reader::ReadLine(const Context& ctx, size_t limit) {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (buffer_.size() > limit) co_return Malformed("line too long");
    CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
    if (!more) co_return absl::UnavailableError("the connection ended inside a message");
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  co_return line;
}

Task<absl::Status> Reader::ReadExactly(const Context& ctx, size_t n, std::string* out) {
  while (n > 0) {
    if (buffer_.empty()) {
      CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
      if (!more) co_return absl::UnavailableError("the connection ended inside a message");
    }
    size_t take = std::min(n, buffer_.size());
    out->append(buffer_, 0, take);
    buffer_.erase(0, take);
    n -= take;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::string>> Reader::ReadChunks(const Context& ctx, size_t limit) {
  std::string body;
  while (true) {
    CO_ASSIGN_OR_RETURN(std::string line, co_await ReadLine(ctx, 256));
    auto size = ParseNumber(Trim(std::string_view(line).substr(0, line.find(';'))), 16);
    if (!size) co_return Malformed("chunk size");
    if (*size > limit - body.size()) co_return absl::ResourceExhaustedError("the body is too long");
    if (*size == 0) break;
    CO_RETURN_IF_ERROR(co_await ReadExactly(ctx, *size, &body));
    CO_ASSIGN_OR_RETURN(std::string end, co_await ReadLine(ctx, 2));
    if (!end.empty()) co_return Malformed("chunk end");
  }
  for (size_t i = 0; i <= kMaxHeaders; ++i) {  // trailers, unread
    CO_ASSIGN_OR_RETURN(std::string line, co_await ReadLine(ctx, kMaxHeadBytes));
    if (line.empty()) co_return body;
  }
  co_return Malformed("too many trailers");
}

Task<absl::StatusOr<std::string>> Reader::ReadBody(const Context& ctx, const Head& head, size_t limit, bool to_end) {
  CO_ASSIGN_OR_RETURN(BodyLength length, ParseBodyLength(head));
  if (length.chunked) co_return co_await ReadChunks(ctx, limit);
  std::string body;
  if (length.length.has_value()) {
    if (*length.length > limit) co_return absl::ResourceExhaustedError("the body is too long");
    CO_RETURN_IF_ERROR(co_await ReadExactly(ctx, *length.length, &body));
    co_return body;
  }
  if (!to_end) co_return body;
  while (true) {
    body += std::exchange(buffer_, "");
    if (body.size() > limit) co_return absl::ResourceExhaustedError("the body is too long");
    CO_ASSIGN_OR_RETURN(bool more, co_await Fill(ctx));
    if (!more) co_return body;
  }
}

// ------------------------------------------------------------------------------------------------------------- writing

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

void AppendHeader(std::string* out, std::string_view name, std::string_view value) {
  CHECK(IsToken(name) && IsText(value)) << "header " << name;
  StrAppend(out, name, ": ", value, "\r\n");
}

std::string WriteResponse(const HttpResponse& response, bool keep_alive, bool head_only) {
  std::string out = StrCat("HTTP/1.1 ", response.status, " ", ReasonPhrase(response.status), "\r\n");
  for (const auto& [name, value] : response.headers) AppendHeader(&out, name, value);
  bool bodiless = response.status == 204 || response.status == 304;
  if (!bodiless) {
    AppendHeader(&out, "content-type", response.content_type);
    AppendHeader(&out, "content-length", StrCat(response.body.size()));
  }
  AppendHeader(&out, "connection", keep_alive ? "keep-alive" : "close");
  out += "\r\n";
  if (!head_only && !bodiless) out += response.body;
  return out;
}

absl::StatusOr<Url> ParseUrl(const std::string& url) {
  Url out;
  std::string_view rest = url;
  if (rest.substr(0, 8) == "https://") {
    out.tls = true;
    rest.remove_prefix(8);
  } else if (rest.substr(0, 7) == "http://") {
    rest.remove_prefix(7);
  } else {
    return absl::InvalidArgumentError(StrCat(url, " is no http:// or https:// URL"));
  }
  size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  out.target = slash == rest.size() ? "/" : std::string(rest.substr(slash));
  out.port = out.tls ? 443 : 80;
  size_t bracket = authority.rfind(']');
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    auto port = ParseNumber(authority.substr(colon + 1), 10);
    if (!port || *port == 0 || *port > 65535) return absl::InvalidArgumentError(StrCat(url, ": bad port"));
    out.port = static_cast<int>(*port);
    authority = authority.substr(0, colon);
  }
  if (authority.size() >= 2 && authority.front() == '[' && authority.back() == ']') authority = authority.substr(1, authority.size() - 2);
  out.host = authority;
  bool clean = std::none_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; });
  if (out.host.empty() || out.host.find('@') != std::string::npos || !clean) return absl::InvalidArgumentError(StrCat("\"", url, "\" is no URL"));
  return out;
}

}  // namespace insula::http

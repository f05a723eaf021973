#include "base/http/http.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

namespace beast_http = boost::beast::http;

constexpr uint32_t kHeaderLimit = 16 << 10;
constexpr uint64_t kBodyLimit = 1 << 20;
constexpr size_t kMaxConnections = 64;
constexpr size_t kReadBytes = 8192;
constexpr Duration kIdleTimeout = std::chrono::seconds(30);

std::string Text(boost::beast::string_view v) { return std::string(v.data(), v.size()); }

// Feeds a Beast parser from a stream until the message is whole. nullopt-like false: the stream ended before its first byte.
template <typename Parser>
Task<absl::StatusOr<bool>> ReadMessage(const Context& ctx, ByteStream& stream, std::string& buffered, Parser& parser) {
  bool any = !buffered.empty();
  std::string chunk(kReadBytes, '\0');
  while (!parser.is_done()) {
    if (!buffered.empty()) {
      boost::beast::error_code error;
      size_t used = parser.put(boost::asio::const_buffer(buffered.data(), buffered.size()), error);
      if (error && error != beast_http::error::need_more) co_return absl::InvalidArgumentError(StrCat("malformed HTTP: ", error.message()));
      buffered.erase(0, used);
      if (parser.is_done()) break;
      // Headers and body are taken in separate steps; a step that took something may be followed by another.
      if (used > 0 && !buffered.empty()) continue;
    }
    CO_ASSIGN_OR_RETURN(size_t n, co_await stream.Read(ctx, chunk.data(), chunk.size()));
    if (n == 0) {
      if (!any) co_return false;
      boost::beast::error_code error;
      parser.put_eof(error);
      if (error || !parser.is_done()) co_return absl::UnavailableError("the HTTP message is cut short");
      break;
    }
    any = true;
    buffered.append(chunk, 0, n);
  }
  co_return true;
}

std::string_view Reason(int status) {
  auto text = beast_http::obsolete_reason(static_cast<beast_http::status>(status));
  return std::string_view(text.data(), text.size());
}

std::string RenderResponse(const HttpResponse& response, bool keep_alive) {
  return StrCat("HTTP/1.1 ", response.status, " ", Reason(response.status), "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(),
                "\r\nConnection: ", keep_alive ? "keep-alive" : "close", "\r\n\r\n", response.body);
}

struct Url {
  bool tls = false;
  std::string address;  // host:port
  std::string target;
};

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  Url url;
  for (auto [scheme, tls] : {std::pair<std::string_view, bool>{"https://", true}, {"http://", false}}) {
    if (text.substr(0, scheme.size()) != scheme) continue;
    url.tls = tls;
    text.remove_prefix(scheme.size());
    size_t slash = text.find('/');
    url.address = std::string(text.substr(0, slash));
    url.target = slash == std::string_view::npos ? "/" : std::string(text.substr(slash));
    return url;
  }
  return absl::InvalidArgumentError("a URL begins with http:// or https://");
}

}  // namespace

absl::StatusOr<int> HttpServer::Listen(const std::string& address) {
  ASSIGN_OR_RETURN(listener_, network_->Listen(address));
  tasks_.Spawn(Accept(tasks_.ctx()));
  return listener_->port();
}

Task<void> HttpServer::Stop() {
  tasks_.Cancel();
  co_await tasks_.Wait();
  listener_.reset();
}

Task<void> HttpServer::Accept(Context ctx) {
  while (!ctx.done()) {
    auto stream = co_await listener_->Accept(ctx);
    if (!stream.ok()) {
      if (ctx.done()) co_return;
      LOG_ERROR("accept failed", {"status", stream.status().ToString()});
      if (!(co_await Sleep(ctx, std::chrono::milliseconds(100))).ok()) co_return;
      continue;
    }
    // One of the tasks is this one.
    if (tasks_.size() > kMaxConnections) {
      (*stream)->Close();
      continue;
    }
    tasks_.Spawn(Serve(ctx, *std::move(stream)));
  }
}

Task<void> HttpServer::Serve(Context ctx, std::unique_ptr<ByteStream> stream) {
  PeerIdentity peer;
  if (options_.tls != nullptr) {
    TlsServerOptions tls{.identity = options_.tls, .require_client_certificate = options_.require_client_certificate, .alpn = ""};
    auto session = co_await stream->StartTlsServer(ctx.WithTimeout(kIdleTimeout), tls, "");
    if (!session.ok()) {
      LOG_DEBUG("an HTTPS handshake failed", {"status", session.status().ToString()});
      co_return;
    }
    peer = session->peer;
  }
  std::string buffered;
  while (true) {
    beast_http::request_parser<beast_http::string_body> parser;
    parser.header_limit(kHeaderLimit);
    parser.body_limit(kBodyLimit);
    parser.eager(true);
    auto whole = co_await ReadMessage(ctx.WithTimeout(kIdleTimeout), *stream, buffered, parser);
    if (whole.ok() && !*whole) break;
    bool keep_alive = false;
    HttpResponse response{.status = 400, .body = "malformed request\n"};
    if (whole.ok()) {
      auto& message = parser.get();
      HttpRequest request{.method = Text(message.method_string()), .path = Text(message.target()), .query = "", .body = std::move(message.body()), .peer = peer};
      if (size_t mark = request.path.find('?'); mark != std::string::npos) {
        request.query = request.path.substr(mark + 1);
        request.path.resize(mark);
      }
      keep_alive = message.keep_alive();
      response = co_await Dispatch(ctx, std::move(request));
    } else if (whole.status().code() != absl::StatusCode::kInvalidArgument) {
      break;
    }
    std::string bytes = RenderResponse(response, keep_alive);
    if (!(co_await stream->Write(ctx.WithTimeout(kIdleTimeout), bytes)).ok() || !keep_alive) break;
  }
  stream->Close();
}

Task<HttpResponse> HttpServer::Dispatch(Context ctx, HttpRequest request) {
  auto path = handlers_.find(request.path);
  if (path == handlers_.end()) co_return HttpResponse{.status = 404, .body = "not found\n"};
  auto handler = path->second.find(request.method);
  if (handler == path->second.end()) co_return HttpResponse{.status = 405, .body = "method not allowed\n"};
  co_return co_await handler->second(ctx, std::move(request));
}

Task<absl::StatusOr<HttpResponse>> HttpCall(Context ctx, Network* network, HttpCallOptions options) {
  CO_ASSIGN_OR_RETURN(Url url, ParseUrl(options.url));
  CO_ASSIGN_OR_RETURN(auto stream, co_await network->Dial(ctx, url.address));
  if (url.tls) {
    std::string host = url.address.substr(0, url.address.rfind(':'));
    auto session = co_await stream->StartTlsClient(ctx, {.identity = options.tls, .server_name = host, .alpn = ""});
    if (!session.ok()) co_return session.status();
  }
  std::string request = StrCat(options.method, " ", url.target, " HTTP/1.1\r\nHost: ", url.address, "\r\nConnection: close\r\n");
  if (!options.body.empty()) StrAppend(&request, "Content-Type: ", options.content_type, "\r\n");
  StrAppend(&request, "Content-Length: ", options.body.size(), "\r\n\r\n", options.body);
  CO_RETURN_IF_ERROR(co_await stream->Write(ctx, request));
  beast_http::response_parser<beast_http::string_body> parser;
  parser.header_limit(kHeaderLimit);
  parser.body_limit(kBodyLimit);
  parser.eager(true);
  std::string buffered;
  CO_ASSIGN_OR_RETURN(bool whole, co_await ReadMessage(ctx, *stream, buffered, parser));
  stream->Close();
  if (!whole) co_return absl::UnavailableError("the server closed the connection without an answer");
  co_return HttpResponse{.status = static_cast<int>(parser.get().result_int()), .content_type = Text(parser.get()["Content-Type"]), .body = std::move(parser.get().body())};
}

}  // namespace insula

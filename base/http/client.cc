#include <charconv>
#include <utility>

#include "base/http/http.h"
#include "base/http/message.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula {
namespace {

std::string WriteRequest(const HttpCall& call, const http::Url& url) {
  std::string out = StrCat(call.method, " ", url.target, " HTTP/1.1\r\n");
  bool v6 = url.host.find(':') != std::string::npos;
  http::AppendHeader(&out, "host", v6 ? StrCat("[", url.host, "]:", url.port) : StrCat(url.host, ":", url.port));
  for (const auto& [name, value] : call.headers) http::AppendHeader(&out, name, value);
  http::AppendHeader(&out, "connection", "close");
  if (!call.body.empty() || call.method != "GET") {
    http::AppendHeader(&out, "content-type", call.content_type);
    http::AppendHeader(&out, "content-length", StrCat(call.body.size()));
  }
  return out + "\r\n" + call.body;
}

absl::StatusOr<int> ParseStatus(const http::Head& head) {
  int status = 0;
  auto parsed = std::from_chars(head.second.data(), head.second.data() + head.second.size(), status);
  bool good = head.first.compare(0, 7, "HTTP/1.") == 0 && parsed.ec == std::errc() && status >= 100 && status <= 599;
  if (!good) return absl::UnavailableError("the server does not speak HTTP/1");
  return status;
}

}  // namespace

Task<absl::StatusOr<HttpResponse>> HttpFetch(const Context& ctx, Network* network, HttpCall call) {
  CO_ASSIGN_OR_RETURN(http::Url url, http::ParseUrl(call.url));
  bool v6 = url.host.find(':') != std::string::npos;
  std::string address = v6 ? StrCat("[", url.host, "]:", url.port) : StrCat(url.host, ":", url.port);
  CO_ASSIGN_OR_RETURN(auto stream, co_await network->Dial(ctx, address));
  if (url.tls) {
    TlsClientOptions tls;
    tls.identity = call.identity;
    tls.server_name = call.server_name.empty() ? url.host : call.server_name;
    CO_RETURN_IF_ERROR((co_await stream->StartTlsClient(ctx, tls)).status());
  }
  std::string request = WriteRequest(call, url);
  absl::Status written = co_await stream->Write(ctx, request);
  if (ctx.done()) co_return ctx.status();
  // A server may answer (say, 413) and close before it has read everything: its answer says more than our failed write.
  http::Reader reader(stream.get());
  while (true) {
    auto head = co_await reader.ReadHead(ctx);
    if (!head.ok()) co_return written.ok() ? head.status() : written;
    CO_ASSIGN_OR_RETURN(int status, ParseStatus(*head));
    if (status < 200) continue;  // 100 Continue and the like
    HttpResponse response;
    response.status = status;
    response.headers = head->headers;
    response.content_type = std::string(head->Get("content-type"));
    bool bodiless = call.method == "HEAD" || status == 204 || status == 304;
    if (!bodiless) {
      CO_ASSIGN_OR_RETURN(response.body, co_await reader.ReadBody(ctx, *head, call.max_body_bytes, /*to_end=*/true));
    }
    co_return response;
  }
}

Task<absl::StatusOr<HttpResponse>> HttpPost(const Context& ctx, Network* network, std::string url, std::string body,
                                            std::shared_ptr<const TlsIdentity> identity) {
  HttpCall call;
  call.method = "POST";
  call.url = std::move(url);
  call.body = std::move(body);
  call.identity = std::move(identity);
  co_return co_await HttpFetch(ctx, network, std::move(call));
}

}  // namespace insula

#include "base/pgwire/auth.h"

#include <optional>
#include <string>
#include <utility>

#include "base/pgwire/backend.h"
#include "base/pgwire/frontend.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

// The payload of the client's next 'p' message.
Task<absl::StatusOr<std::string>> NextPassword(const Context& ctx, FrameReader& reader) {
  CO_ASSIGN_OR_RETURN(std::optional<Frame> frame, co_await reader.Next(ctx));
  if (!frame) co_return absl::UnavailableError("the client closed the connection");
  if (frame->type != frontend::kPassword) {
    co_return ProtocolError(StrCat("expected SASL response, got message type ", static_cast<int>(frame->type)));
  }
  co_return std::string(frame->payload);
}

}  // namespace

Task<absl::Status> AuthenticateScram(const Context& ctx, FrameReader& reader, ByteStream& stream, ScramServer scram) {
  std::string out;
  AppendAuthenticationSasl({std::string(kScramSha256)}, &out);
  CO_RETURN_IF_ERROR(co_await stream.Write(ctx, out));

  CO_ASSIGN_OR_RETURN(std::string payload, co_await NextPassword(ctx, reader));
  CO_ASSIGN_OR_RETURN(SaslInitialMessage initial, DecodeSaslInitial(payload));
  if (initial.mechanism != kScramSha256) co_return ProtocolError("client selected an invalid SASL authentication mechanism");
  // A client may wait for the server to speak first: an empty challenge asks for its first message.
  std::string first(initial.data.value_or(""));
  if (!initial.data) {
    out.clear();
    AppendAuthenticationSaslContinue("", &out);
    CO_RETURN_IF_ERROR(co_await stream.Write(ctx, out));
    CO_ASSIGN_OR_RETURN(first, co_await NextPassword(ctx, reader));
  }

  CO_ASSIGN_OR_RETURN(std::string challenge, scram.First(first));
  out.clear();
  AppendAuthenticationSaslContinue(challenge, &out);
  CO_RETURN_IF_ERROR(co_await stream.Write(ctx, out));

  CO_ASSIGN_OR_RETURN(payload, co_await NextPassword(ctx, reader));
  CO_ASSIGN_OR_RETURN(std::string final_message, scram.Final(payload));
  out.clear();
  AppendAuthenticationSaslFinal(final_message, &out);
  co_return co_await stream.Write(ctx, out);
}

}  // namespace insula::pgwire

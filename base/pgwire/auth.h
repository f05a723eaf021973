// The authentication part of a connection's start, from the server's side.
#ifndef INSULA_BASE_PGWIRE_AUTH_H_
#define INSULA_BASE_PGWIRE_AUTH_H_

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/scram.h"
#include "base/runtime/net.h"

namespace insula::pgwire {

// Runs the SASL exchange after the startup message was read; sends everything up to and including AuthenticationSASLFinal, not
// AuthenticationOk. 28P01 (no text of its own) for a wrong proof, 08P01 for a client that breaks the protocol; kUnavailable or
// kCancelled when the client went away. The caller sends the error.
Task<absl::Status> AuthenticateScram(const Context& ctx, FrameReader& reader, ByteStream& stream, ScramServer scram);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_AUTH_H_

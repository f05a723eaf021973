// The protocol loop of one authenticated client: frames in, a Session's methods, answers out.
//
//   Query ──► SimpleQuery ──► ReadyForQuery, flush
//   Parse, Bind, Describe, Execute, Close ──► answers gathered; an error skips to Sync
//   Flush ──► flush          Sync ──► commit, ReadyForQuery, flush          Terminate ──► end
//
// Answers are written when the client must see them: after ReadyForQuery once no whole message waits in the buffer any more
// (a pipeline is answered in few writes), at Flush, and when the buffer is large.
//
// The connection ends when the client goes, when its context ends (a FATAL error with the context's PgError is sent), or after
// an error that leaves the protocol out of step.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SESSION_CONNECTION_H_
#define INSULA_SQL_SESSION_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/frame.h"
#include "base/runtime/net.h"
#include "sql/session/output.h"
#include "sql/session/session.h"

namespace insula::sql {

class Connection : public ClientChannel {
 public:
  // `stream` and `reader` outlive it; the reader may hold bytes that came early.
  Connection(ByteStream* stream, pgwire::FrameReader* reader) : stream_(stream), reader_(reader) {}

  // Serves the session until the connection ends; what the session has put into its output before (AuthenticationOk, …) goes out
  // first, with ReadyForQuery. OK after a Terminate or the client's orderly end; else why it ended.
  Task<absl::Status> Serve(const Context& ctx, Session& session);

  // ClientChannel
  Task<absl::Status> Write(const Context& ctx, std::string_view bytes) override;
  Task<absl::StatusOr<std::optional<std::string>>> ReadCopyData(const Context& ctx) override;

 protected:
  // Whether a client's message may be worked on now; if not, it waits for WaitToRun, whose error ends the connection. A message
  // that ends the connection, or inside a transaction, does not ask.
  virtual bool MayRun() const { return true; }
  virtual Task<absl::Status> WaitToRun(const Context& ctx) { co_return absl::OkStatus(); }

 private:
  // The next frame; idle timeouts of the session apply.
  Task<absl::StatusOr<std::optional<pgwire::Frame>>> NextFrame(const Context& ctx, Session& session);
  Task<absl::Status> Dispatch(const Context& ctx, Session& session, pgwire::Frame frame);
  Task<absl::Status> Extended(const Context& ctx, Session& session, const pgwire::Frame& frame);
  Task<absl::Status> Ready(const Context& ctx, Session& session);
  Task<void> EndWithError(const Context& ctx, Session& session, const absl::Status& why);
  bool SyncFollows() const;

  ByteStream* stream_;
  pgwire::FrameReader* reader_;
  bool due_ = false;  // the output holds what the client waits for
  bool skip_to_sync_ = false;
  bool terminated_ = false;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_CONNECTION_H_

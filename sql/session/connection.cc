#include "sql/session/connection.h"

#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/frontend.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

using pgwire::Frame;
namespace frontend = pgwire::frontend;

absl::Status Fatal(std::string_view sqlstate, std::string_view message) {
  return PgErrorBuilder(sqlstate, message).Severity("FATAL").Build();
}

absl::Status Gone() { return absl::UnavailableError("the client closed the connection"); }

// The client cannot be told: the stream is broken, not the statement.
bool IsLost(const absl::Status& status) { return status.code() == absl::StatusCode::kUnavailable && !IsPgError(status); }

}  // namespace

Task<absl::Status> Connection::Write(const Context& ctx, std::string_view bytes) { co_return co_await stream_->Write(ctx, bytes); }

Task<absl::StatusOr<std::optional<std::string>>> Connection::ReadCopyData(const Context& ctx) {
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<Frame> frame, co_await reader_->Next(ctx));
    if (!frame) co_return Gone();
    switch (frame->type) {
      case frontend::kCopyData:
        co_return std::optional<std::string>(frame->payload);
      case frontend::kCopyDone:
        co_return std::optional<std::string>();
      case frontend::kCopyFail: {
        CO_ASSIGN_OR_RETURN(std::string_view why, pgwire::DecodeCopyFail(frame->payload));
        co_return PgError(sqlstate::kQueryCanceled, StrCat("COPY from stdin failed: ", why));
      }
      case frontend::kFlush:
      case frontend::kSync:
        continue;  // as PostgreSQL: a client in the extended protocol may have sent them already
      default:
        co_return pgwire::ProtocolError(StrCat("unexpected message type '", frame->type, "' during COPY from stdin"));
    }
  }
}

bool Connection::SyncFollows() const {
  std::string_view next = reader_->buffered();
  return next.size() >= 5 && next[0] == frontend::kSync;
}

Task<absl::StatusOr<std::optional<Frame>>> Connection::NextFrame(const Context& ctx, Session& session) {
  CO_ASSIGN_OR_RETURN(std::optional<Frame> frame, reader_->TryNext());
  if (frame) co_return frame;
  if (due_) {
    due_ = false;
    CO_RETURN_IF_ERROR(co_await session.out().Flush(ctx));
  }
  const DerivedSettings& settings = session.settings();
  const bool in_transaction = session.transaction_status() != pgwire::TransactionStatus::kIdle;
  const Duration timeout = in_transaction ? settings.idle_in_transaction_timeout : settings.idle_session_timeout;
  if (timeout == Duration::zero()) co_return co_await reader_->Next(ctx);
  Context idle = ctx.WithTimeout(timeout);
  absl::StatusOr<std::optional<Frame>> next = co_await reader_->Next(idle);
  if (!next.ok() && !ctx.done() && idle.status().code() == absl::StatusCode::kDeadlineExceeded) {
    co_return in_transaction ? Fatal("25P03", "terminating connection due to idle-in-transaction timeout")
                             : Fatal("57P05", "terminating connection due to idle-session timeout");
  }
  co_return next;
}

Task<absl::Status> Connection::Ready(const Context& ctx, Session& session) {
  session.AppendParameterReports();
  pgwire::AppendReadyForQuery(session.transaction_status(), session.out().bytes());
  // A pipelined message that is here already will be answered soon, in the same write: NextFrame flushes before it waits.
  due_ = true;
  if (session.out().large()) co_return co_await session.out().Flush(ctx);
  co_return absl::OkStatus();
}

Task<absl::Status> Connection::Serve(const Context& ctx, Session& session) {
  absl::Status status = co_await Ready(ctx, session);
  while (status.ok() && !terminated_) {
    absl::StatusOr<std::optional<Frame>> frame = co_await NextFrame(ctx, session);
    if (!frame.ok()) {
      status = frame.status();
    } else if (!frame->has_value()) {
      break;
    } else {
      status = co_await Dispatch(ctx, session, **frame);
    }
  }
  if (!status.ok()) co_await EndWithError(ctx, session, status);
  co_await session.End(ctx);
  stream_->Close();
  co_return status;
}

Task<void> Connection::EndWithError(const Context& ctx, Session& session, const absl::Status& why) {
  if (IsLost(why)) co_return;
  absl::Status reason = ctx.done() && IsPgError(ctx.status()) ? ctx.status() : why;
  PgErrorFields fields = ToPgError(reason);
  fields.severity = "FATAL";
  pgwire::AppendError(fields, session.out().bytes());
  Context goodbye = Context::Background(&ctx.executor(), ctx.info()).WithTimeout(5s);
  absl::Status sent = co_await session.out().Flush(goodbye);
  (void)sent;  // the connection ends either way
}

Task<absl::Status> Connection::Dispatch(const Context& ctx, Session& session, Frame frame) {
  if (!MayRun() && frame.type != frontend::kTerminate && session.transaction_status() == pgwire::TransactionStatus::kIdle) {
    CO_RETURN_IF_ERROR(co_await WaitToRun(ctx));
  }
  switch (frame.type) {
    case frontend::kTerminate:
      terminated_ = true;
      co_return absl::OkStatus();
    case frontend::kQuery: {
      skip_to_sync_ = false;
      // The text is copied: reading COPY data reuses the reader's buffer.
      absl::StatusOr<std::string_view> decoded = pgwire::DecodeQuery(frame.payload);
      if (!decoded.ok()) co_return decoded.status();
      std::string sql(*decoded);
      absl::Status status = co_await session.SimpleQuery(ctx, sql);
      if (IsLost(status) || ctx.done()) co_return status.ok() ? ctx.status() : status;
      if (!status.ok()) pgwire::AppendError(ToPgError(status), session.out().bytes());
      co_return co_await Ready(ctx, session);
    }
    case frontend::kSync: {
      skip_to_sync_ = false;
      absl::Status status = co_await session.Sync(ctx);
      if (IsLost(status) || ctx.done()) co_return status.ok() ? ctx.status() : status;
      if (!status.ok()) pgwire::AppendError(ToPgError(status), session.out().bytes());
      co_return co_await Ready(ctx, session);
    }
    case frontend::kFlush:
      session.AppendParameterReports();
      co_return co_await session.out().Flush(ctx);
    case frontend::kCopyData:
    case frontend::kCopyDone:
    case frontend::kCopyFail:
      co_return absl::OkStatus();  // of a COPY that has failed: the client did not know yet
    case frontend::kParse:
    case frontend::kBind:
    case frontend::kDescribe:
    case frontend::kExecute:
    case frontend::kClose:
    case frontend::kFunctionCall: {
      if (skip_to_sync_) co_return absl::OkStatus();
      absl::Status status = co_await Extended(ctx, session, frame);
      if (IsLost(status) || ctx.done()) co_return status.ok() ? ctx.status() : status;
      if (!status.ok()) {
        pgwire::AppendError(ToPgError(status), session.out().bytes());
        skip_to_sync_ = true;
      }
      if (session.out().large()) co_return co_await session.out().Flush(ctx);
      co_return absl::OkStatus();
    }
    default:
      co_return Fatal(sqlstate::kProtocolViolation, StrCat("invalid frontend message type ", static_cast<int>(frame.type)));
  }
}

Task<absl::Status> Connection::Extended(const Context& ctx, Session& session, const Frame& frame) {
  // A malformed message is an error of its own, like any other: the transaction fails and the client syncs.
  auto malformed = [&](const absl::Status& status) -> Task<absl::Status> {
    co_await session.Fail(ctx);
    co_return status;
  };
  switch (frame.type) {
    case frontend::kParse: {
      auto message = pgwire::DecodeParse(frame.payload);
      if (!message.ok()) co_return co_await malformed(message.status());
      co_return co_await session.Parse(ctx, *message);
    }
    case frontend::kBind: {
      auto message = pgwire::DecodeBind(frame.payload);
      if (!message.ok()) co_return co_await malformed(message.status());
      co_return co_await session.Bind(ctx, *message);
    }
    case frontend::kDescribe: {
      auto message = pgwire::DecodeTarget(frame.payload);
      if (!message.ok()) co_return co_await malformed(message.status());
      co_return co_await session.Describe(ctx, *message);
    }
    case frontend::kExecute: {
      auto message = pgwire::DecodeExecute(frame.payload);
      if (!message.ok()) co_return co_await malformed(message.status());
      // COPY reads on: the portal's name must not lie in the reader's buffer.
      std::string portal(message->portal);
      co_return co_await session.Execute(ctx, {portal, message->max_rows}, SyncFollows());
    }
    case frontend::kClose: {
      auto message = pgwire::DecodeTarget(frame.payload);
      if (!message.ok()) co_return co_await malformed(message.status());
      co_return session.Close(*message);
    }
    default:
      co_return co_await malformed(PgUnsupported("the function call protocol"));
  }
}

}  // namespace insula::sql

// DECLARE, FETCH, MOVE, CLOSE.
#include <algorithm>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/session/result_writer.h"
#include "sql/session/session.h"

namespace insula::sql {

Task<absl::StatusOr<Session::UtilityResult>> Session::RunDeclare(const Context& ctx, const SourcePtr& source,
                                                                 const std::vector<Datum>& parameters) {
  const auto& declare = source->ast->As<ast::DeclareCursorStatement>();
  if (!declare.hold && !transaction_.in_block()) {
    co_return PgError(sqlstate::kNoActiveSqlTransaction, "DECLARE CURSOR can only be used in transaction blocks");
  }
  if (portals_.count(declare.name) != 0) co_return PgError("42P03", StrCat("cursor \"", declare.name, "\" already exists"));
  SourcePtr query = MakeInnerSource(*source, declare.query.get());
  if (!query->is_query()) co_return PgUnsupported(StrCat("DECLARE CURSOR for ", query->tag));
  auto portal = std::make_unique<Portal>();
  portal->name = declare.name;
  portal->source = query;
  portal->parameters = parameters;
  portal->cursor = true;
  portal->scroll = declare.scroll;
  portal->no_scroll = declare.no_scroll;
  portal->hold = declare.hold;
  portal->binary = declare.binary;
  portal->created_us = statement_us_;
  portal->created_clock = transaction_.Tick();
  portal->transaction = transaction_.number();
  Portal* p = portal.get();
  CO_RETURN_IF_ERROR(co_await WithRetries(ctx, /*commit=*/false, [&, p](const Context& run_ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await DrainPortals(run_ctx, p));
    CO_ASSIGN_OR_RETURN(PlannedPtr planned, co_await PlanFor(run_ctx, query, {}, ""));
    if (planned->plan->info.tag != StatementTag::kSelect) co_return PgUnsupported("DECLARE CURSOR with a data-modifying query");
    p->planned = std::move(planned);
    p->columns = p->planned->plan->info.columns;
    p->formats.assign(p->columns.size(), p->binary ? 1 : 0);
    co_return co_await BeginPortalRows(run_ctx, *p);
  }));
  portals_[declare.name] = std::move(portal);
  co_return UtilityResult{.tag = "DECLARE CURSOR"};
}

absl::StatusOr<Portal*> Session::FindCursor(std::string_view name) {
  auto it = portals_.find(std::string(name));
  if (it == portals_.end() || it->second->rows == nullptr) {
    return PgError(sqlstate::kInvalidCursorName, StrCat("cursor \"", name, "\" does not exist"));
  }
  return it->second.get();
}

Task<absl::Status> Session::RunFetch(const Context& ctx, const ast::FetchStatement& statement, RowTarget target, std::string* tag) {
  transaction_.StartImplicit(statement_us_);
  CO_ASSIGN_OR_RETURN(Portal * portal, FindCursor(statement.cursor));
  std::vector<int16_t> formats = portal->formats;
  if (!target.formats.empty()) {
    CO_ASSIGN_OR_RETURN(formats, ExpandFormats(target.formats, portal->columns.size()));
  }
  if (!statement.move && target.describe) AppendResultDescription(portal->columns, formats, out_.bytes());
  CO_ASSIGN_OR_RETURN(uint64_t count, co_await MoveCursor(ctx, *portal, statement, formats));
  *tag = StrCat(statement.move ? "MOVE " : "FETCH ", count);
  co_return absl::OkStatus();
}

// Positions count from 1; 0 is before the first row.
Task<absl::StatusOr<uint64_t>> Session::MoveCursor(const Context& ctx, Portal& portal, const ast::FetchStatement& statement,
                                                   const std::vector<int16_t>& formats) {
  RowSource& rows = *portal.rows;
  CO_ASSIGN_OR_RETURN(SnapshotPtr view, co_await KnownSnapshot(ctx));
  StatementFunctions functions(this, view, ctx);
  const IoContext& io = functions.io();
  int64_t count = statement.count;
  bool forward = statement.direction == ast::FetchDirection::kForward;
  const bool backward = statement.direction == ast::FetchDirection::kBackward;
  if ((forward || backward) && count < 0) {
    forward = !forward;
    count = count == INT64_MIN ? INT64_MAX : -count;
  }
  if (forward && (count > 0 || !rows.scrollable())) {
    uint64_t sent = 0;
    bool done = false;
    if (count == 0) co_return PgError(sqlstate::kObjectNotInPrerequisiteState, "cursor can only scan forward");
    const uint64_t limit = count == ast::kFetchAll ? 0 : static_cast<uint64_t>(count);
    CO_RETURN_IF_ERROR(co_await SendRows(ctx, rows, !statement.move, formats, io, limit, &sent, &done));
    co_return sent;
  }
  if (!rows.scrollable()) {
    co_return PgErrorBuilder(sqlstate::kObjectNotInPrerequisiteState, "cursor can only scan forward")
        .Hint("Declare it with SCROLL option to enable backward scan.")
        .Build();
  }
  auto send_here = [&]() -> absl::Status {
    if (statement.move) return absl::OkStatus();
    RowSource::Slice slice = rows.Here();
    return AppendRows(io, *slice.batch, slice.begin, slice.end, formats, out_.bytes());
  };
  switch (statement.direction) {
    case ast::FetchDirection::kForward:
    case ast::FetchDirection::kBackward: {
      if (count == 0) {  // the row it is on, again
        CO_ASSIGN_OR_RETURN(bool row, co_await rows.Seek(ctx, rows.position()));
        if (row) CO_RETURN_IF_ERROR(send_here());
        co_return row ? 1 : 0;
      }
      uint64_t sent = 0;
      for (int64_t i = 0; i < count; ++i) {
        CO_ASSIGN_OR_RETURN(bool row, co_await rows.Seek(ctx, rows.position() - 1));
        if (!row) break;
        CO_RETURN_IF_ERROR(send_here());
        ++sent;
        if (out_.large()) CO_RETURN_IF_ERROR(co_await out_.Flush(ctx));
      }
      co_return sent;
    }
    case ast::FetchDirection::kAbsolute:
    case ast::FetchDirection::kRelative: {
      int64_t position = count;
      if (statement.direction == ast::FetchDirection::kRelative) {
        position = rows.position() + count;
      } else if (count < 0) {
        CO_RETURN_IF_ERROR(co_await rows.ReadAll(ctx));
        position = rows.row_count() + 1 + count;
      }
      CO_ASSIGN_OR_RETURN(bool row, co_await rows.Seek(ctx, position));
      if (row) CO_RETURN_IF_ERROR(send_here());
      co_return row ? 1 : 0;
    }
  }
  co_return 0;
}

absl::StatusOr<Session::UtilityResult> Session::RunCloseCursor(const ast::CloseCursorStatement& statement) {
  if (statement.cursor.empty()) {
    DropPortals([](const Portal& p) { return p.cursor; });
    return UtilityResult{.tag = "CLOSE CURSOR ALL"};
  }
  RETURN_IF_ERROR(FindCursor(statement.cursor).status());
  portals_.erase(statement.cursor);
  return UtilityResult{.tag = "CLOSE CURSOR"};
}

Task<absl::Status> Session::PrepareCommit(const Context& ctx) {
  for (auto& [name, portal] : portals_) {
    if (!portal->hold || portal->transaction == 0) continue;
    if (portal->rows != nullptr) CO_RETURN_IF_ERROR(co_await portal->rows->Drain(ctx));
    portal->transaction = 0;
  }
  DropPortals([](const Portal& p) { return p.transaction != 0 && p.rows != nullptr && p.rows->running(); });
  co_return absl::OkStatus();
}

}  // namespace insula::sql

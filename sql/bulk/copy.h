// COPY FROM STDIN and COPY TO STDOUT, streaming, in text and csv format.
//
//   CO_ASSIGN_OR_RETURN(auto copy, CopyFrom::Begin(statement, context));
//   send CopyInResponse (copy->column_count() columns, text)
//   CO_ASSIGN_OR_RETURN(uint64_t rows, co_await copy->Run(ctx, source));     // source: CopyData messages → tag "COPY n"
//
//   CO_ASSIGN_OR_RETURN(auto copy, CopyTo::Begin(statement, context));
//   send CopyOutResponse
//   CO_ASSIGN_OR_RETURN(uint64_t rows, co_await copy->Run(ctx, sink));       // sink: one CopyData per call
//
// Rows go through the same plan as INSERT (defaults, checks, indexes), a batch at a time; memory is bounded whatever the size.
// Errors carry PostgreSQL's context ("COPY t, line 3, column b: \"x\"") in `where`. Binary format: 0A000.
// The session undoes to its savepoint when Run fails, and reads the client's data to its end (CopyFail or CopyDone).
#ifndef INSULA_SQL_BULK_COPY_H_
#define INSULA_SQL_BULK_COPY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "sql/parser/ast.h"
#include "sql/schema/ddl.h"

namespace insula::sql {

// The client's data, as it comes.
class CopySource {
 public:
  virtual ~CopySource() = default;
  // The next piece, cut anywhere; nullopt after CopyDone. 57014 `COPY from stdin failed: …` after CopyFail.
  virtual Task<absl::StatusOr<std::optional<std::string>>> Read(const Context& ctx) = 0;
};

class CopySink {
 public:
  virtual ~CopySink() = default;
  // One CopyData message: whole rows, many at a time. Waits while the client is slow.
  virtual Task<absl::Status> Write(const Context& ctx, std::string data) = 0;
};

class CopyFrom {
 public:
  // Binds. `statement`, `context` and all it points to must outlive it. 42P01, 42703, 22023, 0A000.
  static absl::StatusOr<std::unique_ptr<CopyFrom>> Begin(const ast::CopyStatement& statement, DdlContext* context);
  virtual ~CopyFrom() = default;
  virtual int column_count() const = 0;
  virtual Task<absl::StatusOr<uint64_t>> Run(const Context& ctx, CopySource& source) = 0;
};

class CopyTo {
 public:
  static absl::StatusOr<std::unique_ptr<CopyTo>> Begin(const ast::CopyStatement& statement, DdlContext* context);
  virtual ~CopyTo() = default;
  virtual int column_count() const = 0;
  virtual Task<absl::StatusOr<uint64_t>> Run(const Context& ctx, CopySink& sink) = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_BULK_COPY_H_

// Sequences as one session uses them: nextval, currval, lastval, setval.
//
// A counter in KV, outside any transaction, holds how far a sequence has come (Database::Increment); gaps happen, repeats do
// not. Functions cannot wait, so the executor reserves before it evaluates, and writes back what setval asked for after:
//
//   Reserve(seq, 1000) ──► Increment(counter, 1000 × increment) ──► pool [4001 … 5000] ──► Next(), Next(), …
//   Set(seq, 7)        ──► pending ──► Flush() ──► Increment(counter, 7 - now)
//
// What is left in the pool is used by the session's next statements (as CACHE does in PostgreSQL), unless the sequence was
// reset in between. setval against concurrent nextval of other sessions is not atomic: the counter may end some steps further.
// Thread safety: loop thread only, one session.
#ifndef INSULA_SQL_EXEC_SEQUENCES_H_
#define INSULA_SQL_EXEC_SEQUENCES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "sql/catalog/catalog.h"
#include "sql/functions/function_context.h"

namespace insula::sql {

class SessionSequences : public SequenceAccess {
 public:
  explicit SessionSequences(Catalog* catalog) : catalog_(catalog) {}

  // The schema that sequence OIDs are looked up in; set before each statement.
  void set_snapshot(std::shared_ptr<const CatalogSnapshot> snapshot) { snapshot_ = std::move(snapshot); }

  // Makes sure that `count` calls of Next(sequence) can be served, as far as there are values: Next says 2200H where there are no
  // more. 42P01 if there is no such sequence.
  Task<absl::Status> Reserve(const Context& ctx, Oid sequence, uint64_t count);
  // Writes what Set() was asked for.
  Task<absl::Status> Flush(const Context& ctx);
  bool needs_flush() const { return !pending_.empty(); }
  // DISCARD SEQUENCES.
  void Discard();

  absl::StatusOr<int64_t> Next(Oid sequence) override;
  absl::StatusOr<int64_t> Current(Oid sequence) override;
  absl::StatusOr<int64_t> Last() override;
  absl::Status Set(Oid sequence, int64_t value, bool is_called) override;

 private:
  struct State {
    uint32_t storage_id = 0;  // of the counter the pool was taken from
    __int128 next = 0;  // as the counter counts: past the bound where CYCLE starts over
    uint64_t left = 0;
    bool exhausted = false;  // the pool holds all that there was
    std::optional<int64_t> current;
  };
  struct PendingSet {
    int64_t value;
    bool is_called;
  };

  Catalog* catalog_;
  std::shared_ptr<const CatalogSnapshot> snapshot_;
  std::map<Oid, State> states_;
  std::map<Oid, PendingSet> pending_;
  std::optional<Oid> last_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_SEQUENCES_H_

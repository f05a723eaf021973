// Rows that nobody needs any more, taken away behind the scenes: storage of dropped, truncated and rewritten tables and of dropped
// indexes, and what a transaction that did not commit wrote directly into its own new storage.
//
//   DROP TABLE      Retire:  entry "dropped" written by the transaction ──commit──► a while later: span cleared, entry removed
//   COPY into a     Reserve: entry "reserved" durable at once; the       ──commit──► nothing is left to do
//   new table                transaction locks it and deletes it         ──abort───► at once: span cleared, entry removed
//
// An entry is a row of the tenant's keyspace (layout.h), so it outlives the pod: each pod looks for entries some seconds after its
// start, and whenever a transaction of its own that made some has ended.
//
// Invariants:
//   K1  A span is only cleared under the exclusive lock of its entry. The transaction that reserved it holds that lock until it ends,
//       and its deletion of the entry carries the lock's time: if the lock is lost and somebody else takes the entry, it cannot
//       commit. So what may still commit is never cleared, whoever clears it and whatever clocks say.
//   K2  A dropped span is cleared no earlier than kv::kClearingGrace after this pod first saw its entry: who read it before the
//       commit, reads no more (kv/api/txn.h).
//   K3  Storage ids, and index ids within one, are never used again once committed (catalog.h C3); a storage id that was reserved by
//       a transaction that did not commit is not used again either. So no span is in use by anybody when it is cleared.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_CATALOG_CLEARINGS_H_
#define INSULA_SQL_CATALOG_CLEARINGS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "kv/api/txn.h"
#include "sql/catalog/layout.h"

namespace insula::sql {

struct ClearingOptions {
  Duration first_look = 5s;  // after Start: what an earlier pod left
  Duration retry = 1s;       // an entry is held, or clearing failed; doubles
  Duration max_retry = 30s;
};

class Clearings {
 public:
  // `db` must outlive it. Background work ends with `ctx`, and with Stop.
  Clearings(Context ctx, kv::Database* db, CatalogLayout layout, ClearingOptions options = {});
  Clearings(const Clearings&) = delete;
  Clearings& operator=(const Clearings&) = delete;

  // Takes up what is there, after options.first_look.
  void Start();
  // A transaction that called Retire or Reserve has ended: looks at once.
  void Kick();
  Task<void> Stop();

  // With the commit of `txn` the storage (index_id 0: all of it) is nobody's.
  static void Retire(const CatalogLayout& layout, kv::Txn* txn, uint32_t storage_id, uint32_t index_id);
  // Before the first direct write of `txn` into a storage of its own making.
  Task<absl::Status> Reserve(const Context& ctx, kv::Txn* txn, uint32_t storage_id);

  // What is due now is done; when to look again (zero: nothing is left). For the background task, and for tests.
  Task<absl::StatusOr<Duration>> Work(const Context& ctx);
  uint64_t cleared() const { return cleared_; }  // entries so far

 private:
  Task<void> Run();
  // False: somebody holds it.
  Task<absl::StatusOr<bool>> ClearOne(const Context& ctx, std::string entry);

  kv::Database* db_;
  CatalogLayout layout_;
  ClearingOptions options_;
  std::map<std::string, MonoTime> first_seen_;  // dropped entries
  std::set<std::string> reserving_;             // between their making and their locking
  uint64_t cleared_ = 0;
  bool running_ = false, kicked_ = false;
  Condition wake_;
  TaskGroup group_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_CLEARINGS_H_

// The catalog of a tenant: what a pod knows of it, and how transactions see and change it.
//
//   pod:          Catalog ── newest committed CatalogState known here
//   transaction:  CatalogTxn ── that state, fenced by the version key; after DDL: its own changed copy
//
//   auto changes = CatalogTxn(&catalog, txn.get(), "defaultdb");
//   CO_RETURN_IF_ERROR(co_await changes.Begin(ctx));          // no round trip when the pod knows a state already
//   … bind against changes.snapshot(), execute …
//   CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
//   changes.Committed();                                      // DDL becomes the pod's newest state
//
// How a cached state stays right: one key holds the catalog's version, every DDL transaction locks and bumps it, and every
// transaction fences on the version it started from (Txn::SetFence). So a statement that ran against an old catalog fails
// with kFailedPrecondition (not a PgError). The session then undoes the statement (Txn::RollbackTo its savepoint, or a new
// transaction if it was the first), calls CatalogTxn::Renew(), and runs the statement again.
//
// DDL transactions run one at a time per tenant (they hold the version key's lock until they end).
//
// Invariants:
//   C1  A state with version v holds exactly the descriptors that were committed with v.
//   C2  States of a transaction with uncommitted DDL have versions above 2^63, each used once in the pod's life.
//   C3  OIDs and storage ids are never reused, whatever became of the transaction that took them.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_CATALOG_CATALOG_H_
#define INSULA_SQL_CATALOG_CATALOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "kv/api/txn.h"
#include "sql/catalog/clearings.h"
#include "sql/catalog/descriptor.h"
#include "sql/catalog/layout.h"
#include "sql/catalog/snapshot.h"

namespace insula::sql {

class Catalog {
 public:
  // `keyspace`: KeyspacePrefix(id) of the tenant. `db` must outlive the catalog.
  Catalog(kv::Database* db, std::string keyspace);
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // The tenant's first user, a superuser: writes its role unless the catalog has been written before. Every pod may call it.
  Task<absl::Status> Bootstrap(const Context& ctx, std::string user, std::string scram_verifier);

  // The newest committed state known here; read on first use.
  Task<absl::StatusOr<CatalogStatePtr>> Current(const Context& ctx);
  // Reads the version and, if it moved, the state. For new connections (roles, passwords) and after a failed fence.
  Task<absl::StatusOr<CatalogStatePtr>> Refresh(const Context& ctx);
  // Without waiting; nullptr before the first Current.
  const CatalogStatePtr& known() const { return state_; }

  kv::Database& database() { return *db_; }
  const CatalogLayout& layout() const { return layout_; }
  // Who clears what is dropped, in this process. Null (where there is no pod): what is dropped stays until a pod comes, and rows of
  // new tables are written as all others. Outlives the catalog's use.
  void set_clearings(Clearings* clearings) { clearings_ = clearings; }

  // `count` consecutive new OIDs; the first of them.
  Task<absl::StatusOr<Oid>> AllocateOids(const Context& ctx, uint32_t count = 1);
  // `count` consecutive hidden row ids of a table that nobody else gets; the first of them.
  Task<absl::StatusOr<int64_t>> AllocateRowIds(const Context& ctx, uint32_t storage_id, uint64_t count);

 private:
  friend class CatalogTxn;
  Task<absl::StatusOr<CatalogStatePtr>> Load(const Context& ctx, bool force);
  void Publish(CatalogStatePtr state);
  uint64_t NextPrivateVersion() { return (uint64_t{1} << 63) + ++private_versions_; }

  struct RowIdPool {
    int64_t next = 0;
    uint64_t left = 0;
    uint64_t last_block = 0;
  };

  kv::Database* db_;
  CatalogLayout layout_;
  Clearings* clearings_ = nullptr;
  CatalogStatePtr state_;
  Semaphore loading_{1};
  uint64_t private_versions_ = 0;
  Oid next_oid_ = 0;
  uint32_t oids_left_ = 0;
  std::map<uint32_t, RowIdPool> row_ids_;
};

class CatalogTxn {
 public:
  // `txn` and `catalog` must outlive it. 3D000 from Begin if there is no such database.
  CatalogTxn(Catalog* catalog, kv::Txn* txn, std::string database);
  CatalogTxn(const CatalogTxn&) = delete;
  CatalogTxn& operator=(const CatalogTxn&) = delete;
  ~CatalogTxn();

  // Takes the newest known state and fences the transaction on it.
  Task<absl::Status> Begin(const Context& ctx);
  // After a failed fence: the newest state, and the fence on it. 40001 if this transaction changed the schema itself.
  Task<absl::Status> Renew(const Context& ctx);

  const SnapshotPtr& snapshot() const { return snapshot_; }
  bool changed() const { return !changes_.empty(); }

  // Savepoints: what Mark() returned before a change takes that change back. Together with Txn::RollbackTo.
  size_t Mark() const { return changes_.size(); }
  void RollbackTo(size_t mark);

  // The transaction committed: its changes become the pod's newest state.
  void Committed();

  // --- for sql/schema

  // Before the first change: locks the catalog against other DDL. kFailedPrecondition (as for a failed fence) if it has moved.
  Task<absl::Status> LockForChange(const Context& ctx);
  // Buffers the new content and makes it visible in snapshot(). LockForChange has been called.
  void Put(const v1::Descriptor& descriptor);
  void Drop(Oid oid);
  void PutStatistics(Oid table, const v1::TableStatistics& statistics);
  // Several changes as one new snapshot: between the two calls snapshot() stays as it is.
  void BeginChanges() { ++nesting_; }
  void EndChanges();

  // With the commit the storage (index_id 0: all of it) is nobody's, and is cleared some time later.
  void Retire(uint32_t storage_id, uint32_t index_id = 0);
  // A storage that this transaction has just made: large inserts may go there at once (Txn::DeclareFresh).
  void DeclareFresh(uint32_t storage_id);

  Task<absl::StatusOr<Oid>> AllocateOid(const Context& ctx) { return catalog_->AllocateOids(ctx); }
  Catalog& catalog() { return *catalog_; }
  kv::Txn& txn() { return *txn_; }

 private:
  struct Change {
    Oid oid = 0;
    bool is_statistics = false;
    DescriptorPtr descriptor;  // null: dropped
    StatisticsPtr statistics;
  };
  absl::Status Adopt(CatalogStatePtr state);
  void Apply(Change change);
  void Rebuild();

  Catalog* catalog_;
  kv::Txn* txn_;
  std::string database_;
  CatalogStatePtr base_;      // what the fence says
  SnapshotPtr snapshot_;
  std::vector<Change> changes_;
  bool locked_ = false;
  int nesting_ = 0;
  bool leaves_clearing_ = false;  // there may be entries to be looked at when the transaction has ended
};

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_CATALOG_H_

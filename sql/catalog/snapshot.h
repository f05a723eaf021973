// One immutable state of a tenant's catalog, as seen from one of its databases.
//
// A CatalogState holds the descriptors of all databases and is shared; a CatalogSnapshot is that state plus the database a
// session is connected to, and is what the binder, the executor and the catalog functions look at.
//
//   CatalogState v12 ──► CatalogSnapshot(defaultdb) ──► TablePtr (kept by plans)
//                   └──► CatalogSnapshot(postgres)
//
// Names that hold in every database: schemas pg_catalog (11), public (2200), information_schema (13000); virtual tables.
// Thread safety: immutable; one thread.
#ifndef INSULA_SQL_CATALOG_SNAPSHOT_H_
#define INSULA_SQL_CATALOG_SNAPSHOT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sql/binder/catalog_view.h"
#include "sql/catalog/descriptor.h"
#include "sql/types/type.h"

namespace insula::sql {

inline constexpr Oid kPgCatalogOid = 11;
inline constexpr Oid kPublicOid = 2200;
inline constexpr Oid kInformationSchemaOid = 13000;
inline constexpr Oid kPostgresDatabaseOid = 5;
inline constexpr Oid kDefaultDatabaseOid = 6;
inline constexpr Oid kBootstrapRoleOid = 10;
inline constexpr Oid kDatabaseOwnerRoleOid = 6171;  // pg_database_owner
inline constexpr std::string_view kDefaultDatabaseName = "defaultdb";

struct RoleInfo {
  Oid oid = 0;
  std::string name;
  bool superuser = false, inherit = true, create_role = false, create_database = false, login = false, replication = false,
       bypass_rls = false;
  int connection_limit = -1;
  std::string verifier;     // SCRAM-SHA-256$…; empty: cannot log in with a password
  std::string valid_until;  // timestamptz text; empty: for ever
  std::vector<std::pair<std::string, std::string>> settings;  // ALTER ROLE … SET
};

struct DatabaseInfo {
  Oid oid = 0;
  std::string name;
  Oid owner = 0;
  int connection_limit = -1;
  std::vector<std::pair<std::string, std::string>> settings;
};

// What a statement wants to do with an object, for access checks: bits as in ACLs (sql/catalog/acl.h).
using PrivilegeBits = uint32_t;

class CatalogState;
using CatalogStatePtr = std::shared_ptr<const CatalogState>;

class CatalogState {
 public:
  using Descriptors = std::map<Oid, DescriptorPtr>;
  using Statistics = std::map<Oid, StatisticsPtr>;

  // `previous` (may be null) lends the TableInfos of tables that did not change.
  static CatalogStatePtr Make(uint64_t version, Descriptors descriptors, Statistics statistics, const CatalogState* previous);

  uint64_t version() const { return version_; }
  const Descriptors& descriptors() const { return descriptors_; }
  const Statistics& statistics() const { return statistics_; }
  DescriptorPtr Find(Oid oid) const;

  const RoleInfo* FindRole(std::string_view name) const;
  const RoleInfo* FindRole(Oid oid) const;
  std::vector<const RoleInfo*> Roles() const;  // by OID
  // Whether `member` is `role` or, directly or not, a member of it.
  bool IsMember(Oid member, Oid role) const;

  const DatabaseInfo* FindDatabase(std::string_view name) const;
  const DatabaseInfo* FindDatabase(Oid oid) const;
  std::vector<const DatabaseInfo*> Databases() const;

 private:
  friend class CatalogSnapshot;
  CatalogState() = default;
  void IndexDescriptor(Oid oid, const DescriptorPtr& descriptor, const CatalogState* previous);

  uint64_t version_ = 0;
  Descriptors descriptors_;
  Statistics statistics_;
  std::map<Oid, RoleInfo> roles_;
  std::map<std::string, Oid, std::less<>> role_names_;
  std::map<Oid, DatabaseInfo> databases_;
  std::map<std::string, Oid, std::less<>> database_names_;
  std::map<std::pair<Oid, std::string>, Oid, std::less<>> schema_names_;    // (database, name)
  std::map<std::pair<Oid, std::string>, Oid, std::less<>> relation_names_;  // (schema, name); schemas of all databases but public
  std::map<Oid, TablePtr> tables_;                                          // relations with rows: tables, views, sequences
  std::map<Oid, Oid> index_tables_;                                         // index → its table
  std::map<Oid, Oid> constraint_tables_;
  std::map<Oid, std::vector<ForeignKeyInfo>> referenced_by_;
};

class CatalogSnapshot : public CatalogView {
 public:
  CatalogSnapshot(CatalogStatePtr state, Oid database);

  // CatalogView
  uint64_t version() const override { return state_->version(); }
  std::string_view database_name() const override { return database_name_; }
  TablePtr FindTable(std::string_view schema, std::string_view name) const override;
  TablePtr FindTableByOid(Oid oid) const override;
  std::optional<SchemaInfo> FindSchema(std::string_view name) const override;
  std::optional<SchemaInfo> FindSchemaByOid(Oid oid) const override;
  std::optional<SqlType> FindType(std::string_view schema, std::string_view name) const override;
  Oid FindRole(std::string_view name) const override;

  const CatalogState& state() const { return *state_; }
  const CatalogStatePtr& state_ptr() const { return state_; }
  Oid database_oid() const { return database_; }

  // All relations of this database, by OID: stored ones, and virtual ones with `with_virtual`.
  std::vector<TablePtr> Relations(bool with_virtual) const;
  std::vector<SchemaInfo> Schemas() const;  // by OID
  // Tables and indexes share a name space: whether (schema, name) is taken by a relation of any kind.
  Oid FindRelationOid(Oid schema, std::string_view name) const;
  // The table that an index or a constraint belongs to; nullptr if there is none.
  TablePtr FindTableOfIndex(Oid index) const;
  TablePtr FindTableOfConstraint(Oid constraint) const;
  // The stored descriptor; nullptr for built-in and virtual objects.
  DescriptorPtr FindDescriptor(Oid oid) const { return state_->Find(oid); }

  // Whether `role` may do all of `wanted` with the object (relation, schema, database, sequence). Owners and superusers may.
  bool HasPrivileges(Oid role, Oid object, PrivilegeBits wanted) const;
  // The same where a column-level grant on each of `attnums` is enough.
  bool HasColumnPrivileges(Oid role, Oid table, PrivilegeBits wanted, const std::vector<int16_t>& attnums) const;
  // Whether `role` may change the object's definition: its owner, a member of it, or a superuser.
  bool IsOwner(Oid role, Oid object) const;

 private:
  CatalogStatePtr state_;
  Oid database_;
  std::string database_name_;
};
using SnapshotPtr = std::shared_ptr<const CatalogSnapshot>;

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_SNAPSHOT_H_

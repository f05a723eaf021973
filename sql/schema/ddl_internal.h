// What the pieces of schema changes share. One Ddl object executes one statement; its methods are spread over the files of this
// folder by object: tables, columns, constraints, indexes, sequences, views, schemas, roles, privileges, comments.
//
// A change to a table is made on a copy of its descriptor and then put, so a snapshot never shows half of it:
//
//   v1::Descriptor d = Copy(table);  …change d…;  Put(d)  →  the statement's later steps see it
//   rows follow: TableData rewrites, backfills or validates them (table_data.h)
//
// Errors are PostgreSQL's.
#ifndef INSULA_SQL_SCHEMA_DDL_INTERNAL_H_
#define INSULA_SQL_SCHEMA_DDL_INTERNAL_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/binder/binder.h"
#include "sql/catalog/acl.h"
#include "sql/catalog/table_info.h"
#include "sql/schema/ddl.h"
#include "sql/types/io.h"

namespace insula::sql {

class Ddl {
 public:
  Ddl(const Context& ctx, DdlContext& context) : ctx_(ctx), c_(context) {}

  Task<absl::StatusOr<DdlResult>> Execute(const ast::Statement& statement);

 private:
  friend class TableData;

  // --- ddl.cc: surroundings
  const CatalogSnapshot& snapshot() const { return *c_.catalog->snapshot(); }
  Oid User() const { return snapshot().FindRole(c_.user); }
  bool IsSuperuser() const;
  BindContext Binding() const;
  void Notice(std::string_view sqlstate, std::string_view message, std::string_view severity = "NOTICE") const;
  void Put(const v1::Descriptor& d) { c_.catalog->Put(d); }
  // A copy of a stored descriptor to change.
  v1::Descriptor Copy(Oid oid) const { return *snapshot().FindDescriptor(oid); }
  // The TableInfo that a descriptor will have once it is put.
  std::shared_ptr<TableInfo> InfoOf(const v1::Descriptor& d) const;

  // Where a new relation goes. 3F000, 42501, 0A000.
  absl::StatusOr<SchemaInfo> CreationSchema(const ast::RelationName& name) const;
  // An existing relation. 42P01; nullptr with if_exists (and a notice).
  absl::StatusOr<TablePtr> Find(const ast::RelationName& name, bool if_exists) const;
  // A base table that may be altered: not a view, not a catalog, owned by the user. 42809, 42501.
  absl::Status CheckAlterable(const TableInfo& table) const;
  absl::Status CheckOwner(Oid object, std::string_view kind, std::string_view name) const;
  bool NameTaken(Oid schema, std::string_view name) const { return chosen_.contains({schema, std::string(name)}) || snapshot().FindRelationOid(schema, name) != 0; }
  // name1_name2_label, shortened to 63 bytes and numbered until it is free.
  std::string ChooseName(Oid schema, std::string_view name1, std::string_view name2, std::string_view label);
  std::string ChooseConstraintName(const v1::Table& table, std::string_view name1, std::string_view name2, std::string_view label) const;
  static bool ConstraintExists(const v1::Table& table, std::string_view name);
  absl::StatusOr<Oid> Role(const ast::RoleName& name) const;
  Task<absl::StatusOr<Oid>> NewOid() { return c_.catalog->AllocateOid(ctx_); }

  // --- create_table.cc
  Task<absl::StatusOr<DdlResult>> CreateTable(const ast::CreateTableStatement& s);
  Task<absl::StatusOr<DdlResult>> CreateTableAs(const ast::IntoClause& into, const ast::Statement& query, bool if_not_exists,
                                                const std::vector<ast::Option>& options, bool select_into);
  Task<absl::StatusOr<v1::Descriptor>> NewTable(const ast::RelationName& name, const SchemaInfo& schema, char persistence);
  Task<absl::Status> AddLike(const ast::TableLike& like, v1::Descriptor* d);
  absl::Status SetTableOptions(const std::vector<ast::Option>& options, v1::Table* table) const;

  // --- columns.cc
  // Adds the column; its defaults and NOT NULL included. Other constraints go to `rest`.
  Task<absl::Status> AddColumn(const ast::ColumnDefinition& column, v1::Descriptor* d, std::vector<const ast::Constraint*>* rest);
  // Defaults and generation expressions, once all columns are there.
  Task<absl::Status> AddDefault(const ast::Expr& expr, bool generated, v1::Descriptor* d, uint32_t column_id);
  static void AddHiddenRowId(v1::Descriptor* d);
  static void PlaceColumn(v1::Table* table, const v1::Column& column);
  static v1::Column* FindColumn(v1::Table* table, std::string_view name);
  // By name; 42703.
  static absl::StatusOr<v1::Column*> RequireColumn(v1::Descriptor* d, std::string_view name);
  static std::vector<uint32_t> RelationsIn(const ExprPtr& expr);

  // --- constraints.cc
  // Adds PRIMARY KEY, UNIQUE or CHECK. `column`: the column it stands at; "" for a table constraint.
  Task<absl::Status> AddConstraint(const ast::Constraint& c, std::string_view column, v1::Descriptor* d);
  Task<absl::Status> AddKey(const ast::Constraint& c, std::string_view column, v1::Descriptor* d);
  Task<absl::Status> AddCheck(const ast::Constraint& c, std::string_view column, v1::Descriptor* d);
  static bool HasPrimaryKey(const v1::Table& table) { return table.indexes_size() > 0 && table.indexes(0).constraint_oid() != 0 && table.indexes(0).primary(); }

  // --- alter_table.cc
  Task<absl::StatusOr<DdlResult>> AlterTable(const ast::AlterTableStatement& s);
  Task<absl::Status> AlterOne(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> AlterAddColumn(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> AlterDropColumn(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> AlterAddConstraint(const ast::Constraint& c, std::string_view column, const TablePtr& table);
  Task<absl::Status> AlterDropConstraint(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> AlterColumnType(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> AlterNotNull(const ast::AlterTableCommand& c, const TablePtr& table, bool not_null);
  Task<absl::Status> AlterIdentity(const ast::AlterTableCommand& c, const TablePtr& table);
  Task<absl::Status> ChangeOwner(Oid object, const ast::RoleName& owner);
  Task<absl::Status> DropPrimaryKey(v1::Descriptor d, const TablePtr& table);

  // --- rename.cc
  Task<absl::StatusOr<DdlResult>> Rename(const ast::RenameStatement& s);
  Task<absl::Status> RenameRelation(const TablePtr& table, std::string_view new_name);
  Task<absl::Status> RenameColumn(const TablePtr& table, std::string_view old_name, std::string_view new_name);
  Task<absl::StatusOr<DdlResult>> MoveToSchema(const ast::AlterSchemaStatement& s);
  Task<absl::StatusOr<DdlResult>> AlterOwner(const ast::AlterOwnerStatement& s);
  // Views that read `relation` get its new name.
  absl::Status RenameInViews(const TableInfo& relation, std::string_view new_schema, std::string_view new_name);
  std::vector<TablePtr> ViewsOn(Oid relation) const;

  // --- drop.cc
  Task<absl::StatusOr<DdlResult>> Drop(const ast::DropStatement& s);
  Task<absl::Status> DropRelations(std::set<Oid> relations, bool cascade);
  void DropData(const v1::Descriptor& d);
  Task<absl::Status> DropIndex(const TablePtr& table, Oid index);
  Task<absl::StatusOr<DdlResult>> Truncate(const ast::TruncateStatement& s);

  // --- indexes.cc
  Task<absl::StatusOr<DdlResult>> CreateIndex(const ast::CreateIndexStatement& s);
  Task<absl::StatusOr<DdlResult>> Reindex(const ast::ReindexStatement& s);
  absl::Status CheckIndexable(SqlType type) const;

  // --- sequences.cc
  Task<absl::StatusOr<DdlResult>> CreateSequence(const ast::CreateSequenceStatement& s);
  Task<absl::StatusOr<DdlResult>> AlterSequence(const ast::AlterSequenceStatement& s);
  // A sequence that belongs to a column (serial, identity); put.
  Task<absl::StatusOr<Oid>> CreateOwnedSequence(const v1::Descriptor& table, const v1::Column& column, Oid type, const std::vector<ast::Option>& options, bool identity);
  Task<absl::Status> ChangeSequence(v1::Descriptor* d, const std::vector<ast::Option>& options, bool created);
  Task<absl::Status> RestartSequence(v1::Descriptor* d, int64_t start);
  std::vector<Oid> OwnedSequences(Oid table, uint32_t column) const;  // column 0: all

  // --- views.cc, schemas.cc
  Task<absl::StatusOr<DdlResult>> CreateView(const ast::CreateViewStatement& s);
  Task<absl::StatusOr<DdlResult>> CreateSchema(const ast::CreateSchemaStatement& s);
  Task<absl::StatusOr<DdlResult>> CreateDatabase(const ast::CreateDatabaseStatement& s);
  Task<absl::StatusOr<DdlResult>> DropDatabase(const ast::DropDatabaseStatement& s);
  Task<absl::StatusOr<DdlResult>> AlterDatabaseSet(const ast::AlterDatabaseSetStatement& s);
  Task<absl::Status> DropSchemas(const ast::DropStatement& s);

  // --- roles.cc, grants.cc, comments.cc
  Task<absl::StatusOr<DdlResult>> CreateRole(const ast::CreateRoleStatement& s);
  Task<absl::StatusOr<DdlResult>> AlterRole(const ast::AlterRoleStatement& s);
  Task<absl::StatusOr<DdlResult>> AlterRoleSet(const ast::AlterRoleSetStatement& s);
  Task<absl::StatusOr<DdlResult>> DropRole(const ast::DropRoleStatement& s);
  Task<absl::Status> ApplyRoleOptions(const std::vector<ast::Option>& options, v1::Descriptor* d);
  absl::Status ApplySetting(const ast::Statement& set, google::protobuf::RepeatedPtrField<v1::Setting>* settings) const;
  Task<absl::StatusOr<DdlResult>> GrantRole(const ast::GrantRoleStatement& s);
  Task<absl::StatusOr<DdlResult>> GrantPrivileges(const ast::GrantStatement& s);
  Task<absl::StatusOr<DdlResult>> CommentOn(const ast::CommentStatement& s);

  // --- analyze.cc
  Task<absl::StatusOr<DdlResult>> Vacuum(const ast::VacuumStatement& s);
  Task<absl::StatusOr<v1::TableStatistics>> GatherStatistics(const TablePtr& table);

  const Context& ctx_;
  DdlContext& c_;
  std::set<std::pair<Oid, std::string>> chosen_;  // names that this statement will use
};

// "TABLE", "VIEW", …: for messages.
std::string_view KindWord(const TableInfo& table);
ast::RelationName ToRelationName(const ast::QualifiedName& name);

}  // namespace insula::sql

#endif  // INSULA_SQL_SCHEMA_DDL_INTERNAL_H_

// A catalog in memory for tests of the binder and the optimizer, filled by DDL.
//
//   FakeCatalog catalog;
//   catalog.Run("create table t (a int primary key, b text default 'x'); create index on t (b)");
//   catalog.SetRows("t", 10000);  catalog.SetDistinct("t", "b", 50);
//
// Knows CREATE TABLE (types, defaults, checks, generated columns, serial, PRIMARY KEY, UNIQUE), CREATE INDEX, CREATE VIEW,
// CREATE SEQUENCE, CREATE SCHEMA. Tables of pg_catalog are virtual.
#ifndef INSULA_SQL_BINDER_TESTING_FAKE_CATALOG_H_
#define INSULA_SQL_BINDER_TESTING_FAKE_CATALOG_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "sql/binder/binder.h"
#include "sql/binder/catalog_view.h"
#include "sql/parser/ast.h"

namespace insula::sql {

class FakeCatalog : public CatalogView, public RegNames {
 public:
  FakeCatalog();

  absl::Status Run(std::string_view ddl);
  absl::Status SetRows(std::string_view table, double rows);
  absl::Status SetDistinct(std::string_view table, std::string_view column, double distinct);
  // For Bind and its relatives: search path "public", parameters allowed.
  BindContext Context();
  FunctionContext* functions() { return &functions_; }

  uint64_t version() const override { return version_; }
  std::string_view database_name() const override { return "defaultdb"; }
  TablePtr FindTable(std::string_view schema, std::string_view name) const override;
  TablePtr FindTableByOid(Oid oid) const override;
  std::optional<SchemaInfo> FindSchema(std::string_view name) const override;
  std::optional<SchemaInfo> FindSchemaByOid(Oid oid) const override;
  std::optional<SqlType> FindType(std::string_view, std::string_view) const override { return std::nullopt; }
  Oid FindRole(std::string_view) const override { return 10; }

  absl::StatusOr<Oid> Resolve(Oid reg_type, std::string_view name) const override;
  std::string Name(Oid reg_type, Oid value) const override;

 private:
  absl::Status Statement(const ast::Statement& statement);
  absl::Status CreateTable(const ast::CreateTableStatement& s);
  absl::Status CreateIndex(const ast::CreateIndexStatement& s);
  absl::Status CreateView(const ast::CreateViewStatement& s);
  absl::Status AddKey(TableInfo* table, const std::vector<std::string>& columns, bool primary, std::string name);
  void Add(TableInfo table);

  uint64_t version_ = 1;
  Oid next_oid_ = kFirstNormalOid;
  std::map<std::pair<std::string, std::string>, TablePtr> tables_;
  std::vector<std::string> schemas_ = {"pg_catalog", "public"};
  FunctionContext functions_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_BINDER_TESTING_FAKE_CATALOG_H_

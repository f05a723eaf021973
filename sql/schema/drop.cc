// DROP and TRUNCATE: objects, what depends on them, and their data.
#include <algorithm>

#include "base/encoding/ordered.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {
namespace {

using T = ast::ObjectType;

bool Matches(T wanted, RelationKind kind) {
  switch (wanted) {
    case T::kTable: return kind == RelationKind::kTable;
    case T::kView: return kind == RelationKind::kView;
    case T::kIndex: return kind == RelationKind::kIndex;
    case T::kSequence: return kind == RelationKind::kSequence;
    default: return false;
  }
}

std::string_view Word(T type) {
  switch (type) {
    case T::kTable: return "table";
    case T::kView: return "view";
    case T::kIndex: return "index";
    case T::kSequence: return "sequence";
    default: return "relation";
  }
}

// "a" or "an", for `"t" is not a table` and `is not an index`.
std::string NotA(std::string_view word) { return StrCat(word.front() == 'i' ? "an " : "a ", word); }

}  // namespace

Task<absl::StatusOr<DdlResult>> Ddl::Drop(const ast::DropStatement& s) {
  DdlResult result{StrCat("DROP ", ast::ObjectTypeName(s.type)), std::nullopt};
  if (s.type == T::kSchema) {
    CO_RETURN_IF_ERROR(co_await DropSchemas(s));
    co_return result;
  }
  if (s.type != T::kTable && s.type != T::kView && s.type != T::kIndex && s.type != T::kSequence) {
    if (s.if_exists) {  // nothing of these kinds exists
      for (const auto& name : s.objects) Notice("00000", StrCat(AsciiLower(ast::ObjectTypeName(s.type)), " \"", name.back(), "\" does not exist, skipping"));
      co_return result;
    }
    co_return PgUnsupported(StrCat("DROP ", ast::ObjectTypeName(s.type)));
  }
  std::set<Oid> relations;
  std::vector<std::pair<TablePtr, Oid>> indexes;
  for (const auto& name : s.objects) {
    ast::RelationName relation = ToRelationName(name);
    TablePtr t = FindRelation(relation, Binding());
    if (t == nullptr) {
      bool no_schema = !relation.schema.empty() && !snapshot().FindSchema(relation.schema);
      std::string shown = relation.schema.empty() ? relation.name : StrCat(relation.schema, ".", relation.name);
      if (s.if_exists) {
        Notice("00000", no_schema ? StrCat("schema \"", relation.schema, "\" does not exist, skipping")
                                  : StrCat(Word(s.type), " \"", relation.name, "\" does not exist, skipping"));
        continue;
      }
      if (no_schema) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", relation.schema, "\" does not exist"));
      co_return PgError(s.type == T::kIndex ? sqlstate::kUndefinedObject : sqlstate::kUndefinedTable, StrCat(Word(s.type), " \"", shown, "\" does not exist"));
    }
    if (!Matches(s.type, t->kind)) {
      co_return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat("\"", t->name, "\" is not ", NotA(Word(s.type))))
          .Hint(StrCat("Use DROP ", t->kind == RelationKind::kView ? "VIEW" : t->kind == RelationKind::kSequence ? "SEQUENCE" : t->kind == RelationKind::kIndex ? "INDEX" : "TABLE",
                       " to remove ", NotA(KindWord(*t)), "."))
          .Build();
    }
    if (t->is_virtual && !t->sequence) {
      co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied: \"", t->name, "\" is a system catalog"));
    }
    if (t->kind == RelationKind::kIndex) {
      TablePtr table = snapshot().FindTableOfIndex(t->oid);
      CO_RETURN_IF_ERROR(CheckOwner(table->oid, "index", t->name));
      indexes.emplace_back(table, t->oid);
      continue;
    }
    CO_RETURN_IF_ERROR(CheckOwner(t->oid, KindWord(*t), t->name));
    relations.insert(t->oid);
  }
  for (const auto& [table, index] : indexes) {
    const v1::Descriptor d = Copy(table->oid);
    for (const auto& i : d.table().indexes()) {
      if (i.oid() != index || i.constraint_oid() == 0) continue;
      co_return PgErrorBuilder("2BP01", StrCat("cannot drop index ", i.name(), " because constraint ", i.name(), " on table ", table->name, " requires it"))
          .Hint(StrCat("You can drop constraint ", i.name(), " on table ", table->name, " instead."))
          .Build();
    }
    CO_RETURN_IF_ERROR(co_await DropIndex(snapshot().FindTableByOid(table->oid), index));
  }
  if (!relations.empty()) CO_RETURN_IF_ERROR(co_await DropRelations(std::move(relations), s.cascade));
  co_return result;
}

Task<absl::Status> Ddl::DropIndex(const TablePtr& table, Oid index) {
  v1::Descriptor d = Copy(table->oid);
  v1::Table* t = d.mutable_table();
  for (int i = 0; i < t->indexes_size(); ++i) {
    if (t->indexes(i).oid() != index) continue;
    c_.catalog->Retire(t->storage_id(), t->indexes(i).id());
    t->mutable_indexes()->DeleteSubrange(i, 1);
    Put(d);
    co_return absl::OkStatus();
  }
  co_return absl::InternalError("no such index");
}

void Ddl::DropData(const v1::Descriptor& d) {
  const CatalogLayout& layout = c_.catalog->catalog().layout();
  if (d.has_table()) {
    c_.catalog->Retire(d.table().storage_id());
    c_.txn->Delete(layout.RowIds(d.table().storage_id()));
  }
  if (d.has_sequence()) c_.txn->Delete(layout.Sequence(d.sequence().storage_id()));
}

// Drops the relations and what belongs to them. Others that depend on them stop it, or go as well.
Task<absl::Status> Ddl::DropRelations(std::set<Oid> relations, bool cascade) {
  std::string first_name;
  {
    DescriptorPtr d = snapshot().FindDescriptor(*relations.begin());
    first_name = StrCat(d->has_view() ? "view " : d->has_sequence() ? "sequence " : "table ", d->name());
  }
  std::set<Oid> asked = relations;
  std::vector<std::string> dependents;                // lines of the error's detail
  std::vector<std::string> also;                      // what CASCADE takes along
  std::set<std::pair<Oid, uint32_t>> lost_defaults;   // (table, column)
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [oid, d] : snapshot().state().descriptors()) {
      if (relations.contains(oid) || !IsRelation(*d)) continue;
      if (d->has_sequence() && relations.contains(d->sequence().owned_by_table())) {
        relations.insert(oid);  // belongs to the table: no dependent
        grew = true;
        continue;
      }
      if (!d->has_view()) continue;
      for (Oid on : d->view().depends_on()) {
        if (!relations.contains(on)) continue;
        DescriptorPtr target = snapshot().FindDescriptor(on);
        dependents.push_back(StrCat("view ", d->name(), " depends on ", target->has_view() ? "view " : "table ", target->name()));
        also.push_back(StrCat("view ", d->name()));
        relations.insert(oid);
        grew = true;
        break;
      }
    }
  }
  for (const auto& [oid, d] : snapshot().state().descriptors()) {
    if (!d->has_table() || relations.contains(oid)) continue;
    for (const auto& c : d->table().columns()) {
      for (Oid on : c.depends_on()) {
        if (!relations.contains(on)) continue;
        DescriptorPtr sequence = snapshot().FindDescriptor(on);
        if (!c.identity().empty() && asked.contains(on)) {
          co_return PgErrorBuilder("2BP01", StrCat("cannot drop sequence ", sequence->name(), " because column ", c.name(), " of table ", d->name(), " requires it"))
              .Hint(StrCat("You can drop column ", c.name(), " of table ", d->name(), " instead."))
              .Build();
        }
        dependents.push_back(StrCat("default value for column ", c.name(), " of table ", d->name(), " depends on sequence ", sequence->name()));
        also.push_back(StrCat("default value for column ", c.name(), " of table ", d->name()));
        lost_defaults.insert({oid, c.id()});
      }
    }
  }
  if (!dependents.empty() && !cascade) {
    std::string what = asked.size() > 1 ? "desired object(s)" : first_name;
    co_return PgErrorBuilder("2BP01", StrCat("cannot drop ", what, " because other objects depend on ", asked.size() > 1 ? "them" : "it"))
        .Detail(StrJoin(dependents, "\n"))
        .Hint("Use DROP ... CASCADE to drop the dependent objects too.")
        .Build();
  }
  if (also.size() == 1) Notice("00000", StrCat("drop cascades to ", also[0]));
  if (also.size() > 1 && c_.notice) {
    std::string detail;
    for (const auto& a : also) StrAppend(&detail, detail.empty() ? "" : "\n", "drop cascades to ", a);
    c_.notice(PgErrorBuilder("00000", StrCat("drop cascades to ", also.size(), " other objects")).Severity("NOTICE").Detail(detail).Build());
  }
  for (Oid oid : relations) DropData(Copy(oid));
  c_.catalog->BeginChanges();
  std::set<Oid> changed;
  for (const auto& [table, column] : lost_defaults) changed.insert(table);
  for (Oid table : changed) {
    v1::Descriptor d = Copy(table);
    for (auto& c : *d.mutable_table()->mutable_columns()) {
      if (!lost_defaults.contains({table, c.id()})) continue;
      c.clear_default_expression();
      c.clear_default_oid();
      c.clear_depends_on();
    }
    Put(d);
  }
  for (Oid oid : relations) c_.catalog->Drop(oid);
  c_.catalog->EndChanges();
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DdlResult>> Ddl::Truncate(const ast::TruncateStatement& s) {
  std::set<Oid> seen;
  std::vector<TablePtr> tables;
  for (const auto& name : s.tables) {
    CO_ASSIGN_OR_RETURN(TablePtr t, Find(name, false));
    if (t->is_virtual && !t->sequence) {
      co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied: \"", t->name, "\" is a system catalog"));
    }
    if (t->kind != RelationKind::kTable || t->is_virtual) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", t->name, "\" is not a table"));
    if (!snapshot().HasPrivileges(User(), t->oid, acl::kTruncate)) {
      co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for table ", t->name));
    }
    if (seen.insert(t->oid).second) tables.push_back(t);
  }
  CO_ASSIGN_OR_RETURN(Oid storage, co_await c_.catalog->catalog().AllocateOids(ctx_, static_cast<uint32_t>(tables.size())));
  for (const TablePtr& t : tables) {
    v1::Descriptor d = Copy(t->oid);
    DropData(d);
    d.mutable_table()->set_storage_id(storage);
    Put(d);
    c_.catalog->DeclareFresh(storage++);
    if (!s.restart_identity) continue;
    for (Oid sequence : OwnedSequences(t->oid, 0)) {
      v1::Descriptor q = Copy(sequence);
      CO_RETURN_IF_ERROR(co_await RestartSequence(&q, q.sequence().declared_start()));
      Put(q);
    }
  }
  co_return DdlResult{"TRUNCATE TABLE", std::nullopt};
}

}  // namespace insula::sql

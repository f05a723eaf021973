// Relations and their columns: pg_class, pg_attribute, pg_attrdef, and the views over them.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual_table.h"
#include "sql/types/io.h"

namespace insula::sql {

char RelkindOf(const TableInfo& table) {
  switch (table.kind) {
    case RelationKind::kTable: {
      const VirtualTable* v = FindVirtualTable(table.oid);
      return v != nullptr && v->is_view ? 'v' : 'r';
    }
    case RelationKind::kView: return 'v';
    case RelationKind::kMaterializedView: return 'm';
    case RelationKind::kSequence: return 'S';
    case RelationKind::kIndex: return 'i';
    case RelationKind::kCompositeType: return 'c';
  }
  return 'r';
}

namespace {


// Numbers of columns ever made: pg_class.relnatts counts dropped ones.
int HighestAttnum(const TableInfo& table) {
  int n = 0;
  for (const auto& c : table.columns) n = std::max<int>(n, c.attnum);
  return n;
}

double Tuples(const TableInfo& t) { return t.statistics.known ? t.statistics.row_count : -1; }
// As many pages as PostgreSQL's 8 kB would hold, roughly: planners of clients look at it.
int64_t Pages(const TableInfo& t) { return t.statistics.known ? static_cast<int64_t>(t.statistics.row_count / 60) + 1 : 0; }

Datum Options(const google::protobuf::RepeatedPtrField<v1::Setting>& options) {
  if (options.empty()) return Datum::Null();
  std::vector<std::string> out;
  for (const auto& o : options) out.push_back(StrCat(o.name(), "=", o.value()));
  return TextArray(out);
}

void IndexRow(VirtualScan& scan, const TableInfo& table, const IndexInfo& index) {
  int columns = static_cast<int>(index.columns.size() + index.include.size());
  scan.Row(index.oid, index.name, table.schema_oid, 0, 0, table.owner, kBtreeAm, index.oid, 0, Pages(table), Tuples(table), 0, 0, false,
           false, 'p', 'i', columns, 0, false, false, false, false, false, true, 'n', false, 0, 0, 0, nullptr, nullptr, nullptr);
}

}  // namespace

void FillPgClass(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(true)) {
    char kind = RelkindOf(*t);
    const VirtualTable* v = FindVirtualTable(t->oid);
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    bool stored = kind == 'r' && v == nullptr;
    bool has_index = false;
    for (const auto& i : t->indexes) has_index |= !i.name.empty();
    Datum acl = AclOf(d.get(), scan.state());
    if (v != nullptr && !v->superuser_only) acl = AclArray({{kBootstrapRoleOid, kBootstrapRoleOid, AllPrivileges('r'), 0}, {0, kBootstrapRoleOid, acl::kSelect, 0}}, scan.state());
    Datum options = d != nullptr && d->has_table() ? Options(d->table().options()) : d != nullptr && d->has_view() ? Options(d->view().options()) : Datum::Null();
    char persistence = d != nullptr && d->has_table() && d->table().persistence() == "u" ? 'u' : 'p';
    scan.Row(t->oid, t->name, t->schema_oid, 0, 0, t->owner, kind == 'r' ? kHeapAm : 0, kind == 'v' ? 0 : (stored ? t->id : t->oid), 0,
             Pages(*t), kind == 'v' ? -1 : Tuples(*t), 0, 0, has_index, false, persistence, kind, HighestAttnum(*t), t->checks.size(), kind == 'v',
             !t->foreign_keys.empty() || !t->referenced_by.empty(), false, false, false, true, kind == 'r' ? 'd' : 'n', false, 0, 0, 0, acl,
             options, nullptr);
    for (const auto& i : t->indexes) {
      if (!i.name.empty()) IndexRow(scan, *t, i);
    }
  }
}

namespace {

void AttributeRow(VirtualScan& scan, Oid relation, std::string_view name, SqlType type, int number, bool not_null, bool has_default,
                  char identity, char generated, const Datum& acl) {
  const TypeInfo* info = FindType(type.oid);
  int16_t length = info == nullptr ? -1 : info->typlen;
  scan.Row(relation, name, type.oid, number < 0 ? 0 : -1, length, number, IsArray(type.oid) ? 1 : 0, -1, type.typmod,
           info != nullptr && info->byval, info == nullptr ? 'i' : info->align, info == nullptr ? 'x' : info->storage, '\0', not_null,
           has_default, false, identity, generated, false, true, 0, number < 0 ? 0 : CollationOf(type.oid), acl, nullptr, nullptr, nullptr);
}

char IdentityChar(IdentityKind k) { return k == IdentityKind::kAlways ? 'a' : k == IdentityKind::kByDefault ? 'd' : '\0'; }

Datum ColumnAcl(VirtualScan& scan, const v1::Descriptor* d, int ordinal) {
  if (d == nullptr || !d->has_table() || d->table().columns(ordinal).acl().empty()) return Datum::Null();
  Acl acl;
  for (const auto& e : d->table().columns(ordinal).acl()) acl.push_back({e.grantee(), e.grantor(), e.privileges(), e.grantable()});
  return AclArray(acl, scan.state());
}

std::string IndexColumnName(const TableInfo& table, const IndexInfo& index, size_t c) {
  if (c >= index.columns.size()) return table.columns[index.include[c - index.columns.size()]].name;
  if (index.columns[c].ordinal >= 0) return table.columns[index.columns[c].ordinal].name;
  return c == 0 ? "expr" : StrCat("expr", c);
}

}  // namespace

void FillPgAttribute(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(true)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    for (size_t o = 0; o < t->columns.size(); ++o) {
      const ColumnInfo& c = t->columns[o];
      if (c.hidden) continue;
      AttributeRow(scan, t->oid, c.name, c.type, c.attnum, c.not_null, !c.default_expression.empty() && c.identity == IdentityKind::kNone,
                   IdentityChar(c.identity), c.generated == GeneratedKind::kStored ? 's' : '\0', ColumnAcl(scan, d.get(), static_cast<int>(o)));
    }
    for (const auto& i : t->indexes) {
      if (i.name.empty()) continue;
      for (size_t c = 0; c < i.columns.size() + i.include.size(); ++c) {
        SqlType type = c < i.columns.size() ? i.columns[c].type : t->columns[i.include[c - i.columns.size()]].type;
        AttributeRow(scan, i.oid, IndexColumnName(*t, i, c), type, static_cast<int>(c + 1), false, false, '\0', '\0', Datum::Null());
      }
    }
  }
}

void FillPgAttrdef(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    if (d == nullptr || !d->has_table()) continue;
    for (const auto& c : d->table().columns()) {
      if (c.default_expression().empty() || !c.identity().empty()) continue;
      scan.Row(c.default_oid(), t->oid, c.attnum(), c.default_expression());
    }
  }
}

void FillPgTables(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(true)) {
    if (RelkindOf(*t) != 'r') continue;
    bool has_index = false;
    for (const auto& i : t->indexes) has_index |= !i.name.empty();
    scan.Row(t->schema, t->name, scan.names().UserName(t->owner), nullptr, has_index, false,
             !t->foreign_keys.empty() || !t->referenced_by.empty(), false);
  }
}

void FillPgViews(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(true)) {
    if (RelkindOf(*t) != 'v') continue;
    std::optional<std::string> text = t->is_virtual ? std::nullopt : scan.names().ViewDef(t->oid, false);
    scan.Row(t->schema, t->name, scan.names().UserName(t->owner), text);
  }
}

void FillPgRewrite(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    if (t->kind != RelationKind::kView) continue;
    scan.Row(ViewRuleOid(t->oid), "_RETURN", t->oid, '1', 'O', true, "<>", t->view_definition);
  }
}

// Only rules that users wrote: there are none.
void FillPgRules(VirtualScan& scan) {}

}  // namespace insula::sql

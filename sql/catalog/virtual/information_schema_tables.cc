// information_schema: catalogs, schemas, tables, columns, views, sequences, roles, privileges.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual_table.h"

namespace insula::sql {
namespace {

std::string_view YesNo(bool v) { return v ? "YES" : "NO"; }

// Relations of pg_catalog and information_schema count as tables and views, too.
std::vector<TablePtr> TablesAndViews(VirtualScan& scan) {
  std::vector<TablePtr> out;
  for (const TablePtr& t : scan.snapshot().Relations(true)) {
    if (char k = RelkindOf(*t); k == 'r' || k == 'v') out.push_back(t);
  }
  return out;
}

// What information_schema says of a type: how long, how precise.
struct TypeFacts {
  std::string name;
  std::optional<int64_t> length, octets, precision, radix, scale, datetime_precision;
  std::optional<std::string> interval_type;
};

TypeFacts FactsOf(SqlType type) {
  TypeFacts out;
  out.name = IsArray(type.oid) && FindType(type.oid)->true_array ? "ARRAY" : FormatType(type.oid);
  constexpr int64_t kMaxOctets = 1 << 30;
  switch (type.oid) {
    case oid::kVarchar:
    case oid::kBpchar:
      if (CharLengthOf(type.typmod) > 0) {
        out.length = CharLengthOf(type.typmod);
        out.octets = std::min<int64_t>(*out.length * 4, kMaxOctets);
      } else {
        out.octets = kMaxOctets;
      }
      break;
    case oid::kText: out.octets = kMaxOctets; break;
    case oid::kInt2: out.precision = 16; break;
    case oid::kInt4: out.precision = 32; break;
    case oid::kInt8: out.precision = 64; break;
    case oid::kFloat4: out.precision = 24; break;
    case oid::kFloat8: out.precision = 53; break;
    case oid::kNumeric:
      out.radix = 10;
      if (type.typmod >= 4) {
        out.precision = NumericPrecisionOf(type.typmod);
        out.scale = NumericScaleOf(type.typmod);
      }
      break;
    case oid::kDate: out.datetime_precision = 0; break;
    case oid::kTime:
    case oid::kTimetz:
    case oid::kTimestamp:
    case oid::kTimestamptz: out.datetime_precision = type.typmod < 0 ? 6 : type.typmod; break;
    case oid::kInterval: out.datetime_precision = type.typmod < 0 || (type.typmod & 0xffff) == 0xffff ? 6 : type.typmod & 0xffff; break;
    default: break;
  }
  if (out.precision && type.oid != oid::kNumeric) out.radix = 2;
  if (IsInteger(type.oid)) out.scale = 0;
  return out;
}

}  // namespace

void FillInfoCatalogName(VirtualScan& scan) { scan.Row(scan.database()); }

void FillInfoSchemata(VirtualScan& scan) {
  for (const SchemaInfo& s : scan.snapshot().Schemas()) {
    scan.Row(scan.database(), s.name, scan.names().UserName(s.owner), nullptr, nullptr, nullptr, nullptr);
  }
}

void FillInfoTables(VirtualScan& scan) {
  for (const TablePtr& t : TablesAndViews(scan)) {
    bool table = RelkindOf(*t) == 'r';
    scan.Row(scan.database(), t->schema, t->name, table ? "BASE TABLE" : "VIEW", nullptr, nullptr, nullptr, nullptr, nullptr,
             YesNo(table && !t->is_virtual), "NO", nullptr);
  }
}

void FillInfoColumns(VirtualScan& scan) {
  for (const TablePtr& t : TablesAndViews(scan)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    for (const ColumnInfo& c : t->columns) {
      if (c.hidden) continue;
      TypeFacts f = FactsOf(c.type);
      bool generated = c.generated == GeneratedKind::kStored;
      bool identity = c.identity != IdentityKind::kNone;
      std::optional<std::string> default_text, generation;
      if (!c.default_expression.empty() && !identity) (generated ? generation : default_text) = scan.names().Expr(c.default_expression, t->oid, true);
      std::optional<std::string> when, start, increment, maximum, minimum;
      bool cycle = false;
      if (identity) {
        when = c.identity == IdentityKind::kAlways ? "ALWAYS" : "BY DEFAULT";
        for (const auto& [oid, other] : scan.state().descriptors()) {
          if (!other->has_sequence() || other->sequence().owned_by_table() != t->oid || other->sequence().owned_by_column() != c.id) continue;
          const v1::Sequence& s = other->sequence();
          start = StrCat(s.declared_start());
          increment = StrCat(s.increment());
          maximum = StrCat(s.maximum());
          minimum = StrCat(s.minimum());
          cycle = s.cycle();
        }
      }
      const TypeInfo* type = FindType(c.type.oid);
      scan.Row(scan.database(), t->schema, t->name, c.name, c.attnum, default_text, YesNo(!c.not_null), f.name, f.length, f.octets, f.precision,
               f.radix, f.scale, f.datetime_precision, f.interval_type, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
               nullptr, nullptr, scan.database(), "pg_catalog", type == nullptr ? std::string_view("?") : type->typname, nullptr, nullptr, nullptr,
               nullptr, StrCat(c.attnum), "NO", YesNo(identity), when, start, increment, maximum, minimum, YesNo(cycle),
               generated ? "ALWAYS" : "NEVER", generation, YesNo(RelkindOf(*t) == 'r' && !t->is_virtual && !generated));
    }
  }
}

void FillInfoViews(VirtualScan& scan) {
  for (const TablePtr& t : TablesAndViews(scan)) {
    if (RelkindOf(*t) != 'v') continue;
    std::optional<std::string> text = t->is_virtual ? std::nullopt : scan.names().ViewDef(t->oid, false);
    scan.Row(scan.database(), t->schema, t->name, text, "NONE", "NO", "NO", "NO", "NO", "NO");
  }
}

void FillInfoSequences(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    if (!t->sequence) continue;
    const v1::Sequence& s = scan.snapshot().FindDescriptor(t->oid)->sequence();
    if (s.identity()) continue;
    int bits = s.type_oid() == oid::kInt2 ? 16 : s.type_oid() == oid::kInt4 ? 32 : 64;
    scan.Row(scan.database(), t->schema, t->name, FormatType(s.type_oid()), bits, 2, 0, StrCat(s.declared_start()), StrCat(s.minimum()),
             StrCat(s.maximum()), StrCat(s.increment()), YesNo(s.cycle()));
  }
}

namespace {

constexpr std::pair<PrivilegeBits, std::string_view> kPrivilegeWords[] = {
    {acl::kInsert, "INSERT"}, {acl::kSelect, "SELECT"},         {acl::kUpdate, "UPDATE"},  {acl::kDelete, "DELETE"},
    {acl::kTruncate, "TRUNCATE"}, {acl::kReferences, "REFERENCES"}, {acl::kTrigger, "TRIGGER"},
};

void PrivilegeRows(VirtualScan& scan, bool with_public) {
  for (const TablePtr& t : TablesAndViews(scan)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    Acl list = d != nullptr ? StoredAcl(*d).value_or(DefaultAcl('r', t->owner))
                            : Acl{{kBootstrapRoleOid, kBootstrapRoleOid, AllPrivileges('r'), 0}, {0, kBootstrapRoleOid, acl::kSelect, 0}};
    for (const AclItem& item : list) {
      if (item.grantee == 0 && !with_public) continue;
      std::string grantee = item.grantee == 0 ? "PUBLIC" : scan.names().UserName(item.grantee);
      for (const auto& [bit, word] : kPrivilegeWords) {
        if (!(item.privileges & bit)) continue;
        bool grantable = item.grantee == t->owner || (item.grantable & bit);
        scan.Row(scan.names().UserName(item.grantor), grantee, scan.database(), t->schema, t->name, word, YesNo(grantable),
                 YesNo(bit == acl::kSelect));
      }
    }
  }
}

// The current user and every role it is a member of.
std::vector<const RoleInfo*> EnabledRoles(VirtualScan& scan) {
  std::vector<const RoleInfo*> out;
  SessionInfo* session = scan.functions().session;
  Oid me = session == nullptr ? kBootstrapRoleOid : scan.snapshot().FindRole(session->CurrentUser());
  const RoleInfo* mine = scan.state().FindRole(me);
  for (const RoleInfo* r : scan.state().Roles()) {
    if ((mine != nullptr && mine->superuser) || scan.state().IsMember(me, r->oid)) out.push_back(r);
  }
  return out;
}

}  // namespace

void FillInfoTablePrivileges(VirtualScan& scan) { PrivilegeRows(scan, true); }
void FillInfoRoleTableGrants(VirtualScan& scan) { PrivilegeRows(scan, false); }

void FillInfoEnabledRoles(VirtualScan& scan) {
  for (const RoleInfo* r : EnabledRoles(scan)) scan.Row(r->name);
}

void FillInfoApplicableRoles(VirtualScan& scan) {
  for (const RoleInfo* r : EnabledRoles(scan)) {
    DescriptorPtr d = scan.state().Find(r->oid);
    if (d == nullptr) continue;
    for (const auto& m : d->role().member_of()) scan.Row(r->name, scan.names().UserName(m.role()), YesNo(m.admin()));
  }
}

void FillInfoCharacterSets(VirtualScan& scan) {
  scan.Row(nullptr, nullptr, "UTF8", "UCS", "UTF8", scan.database(), "pg_catalog", "C");
}

}  // namespace insula::sql

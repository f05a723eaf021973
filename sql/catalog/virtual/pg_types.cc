// Types and what belongs to them: pg_type, pg_range, pg_cast, pg_collation, pg_am, pg_opclass, pg_opfamily.
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual/type_facts.h"
#include "sql/functions/registry.h"
#include "sql/types/cast.h"

namespace insula::sql {
namespace {

// The OID of a function by name, as regproc columns hold it; 0 if there is none.
Oid FunctionOid(std::string_view name) {
  if (name.empty() || name == "-") return 0;
  auto functions = FunctionsNamed(name);
  return functions.empty() ? 0 : functions[0].oid;
}

}  // namespace

Oid CollationOf(Oid type) {
  const TypeInfo* info = FindType(type);
  if (info == nullptr) return 0;
  Oid element = ElementTypeOf(type);
  if (element != 0 && info->true_array) return CollationOf(element);
  if (type == oid::kName) return kCCollation;
  return info->collatable ? kDefaultCollation : 0;
}

Oid OpclassOf(Oid type) {
  for (const OpclassFact& c : OpclassFacts()) {
    if (c.is_default && c.type == type) return c.oid;
  }
  if (type == oid::kVarchar) return 3126;  // text_ops
  if (IsArray(type)) return 10000;         // array_ops
  return 0;
}

void FillPgType(VirtualScan& scan) {
  for (const TypeInfo& t : AllTypes()) {
    scan.Row(t.oid, t.typname, kPgCatalogOid, kBootstrapRoleOid, t.typlen, t.byval, t.typtype, t.category, t.preferred, true, ',',
             t.relation_oid, t.true_array ? FunctionOid("array_subscript_handler") : t.element_oid != 0 ? FunctionOid("raw_array_subscript_handler") : 0,
             t.element_oid, t.array_oid, FunctionOid(t.input), FunctionOid(t.output), FunctionOid(t.receive), FunctionOid(t.send),
             FunctionOid(t.modin), FunctionOid(t.modout), 0, t.align, t.storage, false, 0, -1, 0, CollationOf(t.oid), nullptr, nullptr, nullptr);
  }
}

void FillPgRange(VirtualScan& scan) {
  for (const RangeFact& r : RangeFacts()) {
    scan.Row(r.type, r.subtype, r.multirange, 0, r.opclass, FunctionOid(r.canonical), FunctionOid(r.difference));
  }
}

void FillPgCast(VirtualScan& scan) {
  // Casts have no OIDs that anybody refers to: numbered in the order of the table.
  Oid number = 10100;
  for (const CastInfo& c : AllCasts()) {
    std::string_view name = c.function.substr(0, c.function.find('('));
    Oid function = 0;
    for (const FunctionInfo& f : FunctionsNamed(name)) {
      if (f.result == c.target && !f.args.empty() && (f.args[0] == c.source || function == 0)) function = f.oid;
    }
    char context = c.context == CastContext::kImplicit ? 'i' : c.context == CastContext::kAssignment ? 'a' : 'e';
    char method = c.method == CastMethod::kFunction ? 'f' : c.method == CastMethod::kInOut ? 'i' : 'b';
    scan.Row(number++, c.source, c.target, method == 'f' ? function : 0, context, method);
  }
}

void FillPgCollation(VirtualScan& scan) {
  scan.Row(kDefaultCollation, "default", kPgCatalogOid, kBootstrapRoleOid, 'd', true, -1, nullptr, nullptr, nullptr, nullptr);
  scan.Row(kCCollation, "C", kPgCatalogOid, kBootstrapRoleOid, 'c', true, -1, "C", "C", nullptr, nullptr);
  scan.Row(951, "POSIX", kPgCatalogOid, kBootstrapRoleOid, 'c', true, -1, "POSIX", "POSIX", nullptr, nullptr);
}

void FillPgAm(VirtualScan& scan) {
  scan.Row(kHeapAm, "heap", FunctionOid("heap_tableam_handler"), 't');
  scan.Row(kBtreeAm, "btree", FunctionOid("bthandler"), 'i');
}

void FillPgOpclass(VirtualScan& scan) {
  for (const OpclassFact& c : OpclassFacts()) {
    scan.Row(c.oid, kBtreeAm, c.name, kPgCatalogOid, kBootstrapRoleOid, c.family, c.type, c.is_default, 0);
  }
}

void FillPgOpfamily(VirtualScan& scan) {
  for (const OpfamilyFact& f : OpfamilyFacts()) scan.Row(f.oid, kBtreeAm, f.name, kPgCatalogOid, kBootstrapRoleOid);
}

}  // namespace insula::sql

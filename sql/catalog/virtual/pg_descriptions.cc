// Comments and dependencies: pg_description, pg_shdescription, pg_depend.
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual/type_facts.h"

namespace insula::sql {

void FillPgDescription(VirtualScan& scan) {
  auto add = [&](Oid object, Oid catalog, int sub, std::string_view text) {
    if (!text.empty()) scan.Row(object, catalog, sub, text);
  };
  add(kPgCatalogOid, kPgNamespaceOid, 0, "system catalog schema");
  for (const TypeDescription& t : TypeDescriptions()) add(t.oid, kPgTypeOid, 0, t.text);
  for (const SchemaInfo& s : scan.snapshot().Schemas()) {
    if (DescriptorPtr d = scan.snapshot().FindDescriptor(s.oid)) add(s.oid, kPgNamespaceOid, 0, d->comment());
  }
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    add(t->oid, kPgClassOid, 0, d->comment());
    const auto& columns = d->has_table() ? d->table().columns() : d->view().columns();
    for (const auto& c : columns) add(t->oid, kPgClassOid, c.attnum(), c.comment());
    if (!d->has_table()) continue;
    for (const auto& i : d->table().indexes()) {
      add(i.oid(), kPgClassOid, 0, i.comment());
      add(i.constraint_oid(), kPgConstraintOid, 0, i.constraint_comment());
    }
    for (const auto& c : d->table().checks()) add(c.oid(), kPgConstraintOid, 0, c.comment());
    for (const auto& k : d->table().foreign_keys()) add(k.oid(), kPgConstraintOid, 0, k.comment());
  }
}

void FillPgShdescription(VirtualScan& scan) {
  for (const auto& [oid, d] : scan.state().descriptors()) {
    if (d->comment().empty()) continue;
    if (d->has_database()) scan.Row(oid, kPgDatabaseOid, d->comment());
    if (d->has_role()) scan.Row(oid, kPgAuthidOid, d->comment());
  }
}

void FillPgDepend(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    scan.Row(kPgClassOid, t->oid, 0, kPgNamespaceOid, t->schema_oid, 0, 'n');
    if (d->has_sequence() && d->sequence().owned_by_table() != 0) {
      const v1::Sequence& s = d->sequence();
      DescriptorPtr owner = scan.snapshot().FindDescriptor(s.owned_by_table());
      int attnum = 0;
      if (owner != nullptr) {
        for (const auto& c : owner->table().columns()) {
          if (c.id() == s.owned_by_column()) attnum = c.attnum();
        }
      }
      scan.Row(kPgClassOid, t->oid, 0, kPgClassOid, s.owned_by_table(), attnum, s.identity() ? 'i' : 'a');
    }
    if (d->has_view()) {
      for (Oid on : d->view().depends_on()) scan.Row(kPgRewriteOid, ViewRuleOid(t->oid), 0, kPgClassOid, on, 0, 'n');
    }
    if (!d->has_table()) continue;
    for (const auto& c : d->table().columns()) {
      if (c.default_expression().empty() || !c.identity().empty()) continue;
      scan.Row(kPgAttrdefOid, c.default_oid(), 0, kPgClassOid, t->oid, c.attnum(), 'a');
      for (Oid on : c.depends_on()) scan.Row(kPgAttrdefOid, c.default_oid(), 0, kPgClassOid, on, 0, 'n');
    }
    for (const auto& i : d->table().indexes()) {
      if (i.name().empty()) continue;
      if (i.constraint_oid() != 0) {
        scan.Row(kPgClassOid, i.oid(), 0, kPgConstraintOid, i.constraint_oid(), 0, 'i');
      } else {
        scan.Row(kPgClassOid, i.oid(), 0, kPgClassOid, t->oid, 0, 'a');
      }
    }
    for (const auto& c : d->table().checks()) scan.Row(kPgConstraintOid, c.oid(), 0, kPgClassOid, t->oid, 0, 'a');
  }
}

}  // namespace insula::sql

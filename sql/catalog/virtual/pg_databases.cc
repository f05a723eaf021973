// Databases, schemas, tablespaces and their settings.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"

namespace insula::sql {

void FillPgNamespace(VirtualScan& scan) {
  Datum system_acl = AclArray({{kBootstrapRoleOid, kBootstrapRoleOid, AllPrivileges('n'), 0}, {0, kBootstrapRoleOid, acl::kUsage, 0}}, scan.state());
  for (const SchemaInfo& s : scan.snapshot().Schemas()) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(s.oid);
    scan.Row(s.oid, s.name, s.owner, d == nullptr ? system_acl : AclOf(d.get(), scan.state()));
  }
}

void FillPgDatabase(VirtualScan& scan) {
  constexpr int kUtf8 = 6;
  for (const DatabaseInfo* d : scan.state().Databases()) {
    DescriptorPtr descriptor = scan.state().Find(d->oid);
    scan.Row(d->oid, d->name, d->owner, kUtf8, 'c', false, true, d->connection_limit, 0, 0, kDefaultTablespace, "C.UTF-8", "C.UTF-8", nullptr,
             nullptr, AclOf(descriptor.get(), scan.state()));
  }
}

void FillPgTablespace(VirtualScan& scan) {
  scan.Row(kDefaultTablespace, "pg_default", kBootstrapRoleOid, nullptr, nullptr);
  scan.Row(1664, "pg_global", kBootstrapRoleOid, nullptr, nullptr);
}

void FillPgDbRoleSetting(VirtualScan& scan) {
  auto texts = [](const std::vector<std::pair<std::string, std::string>>& settings) {
    std::vector<std::string> out;
    for (const auto& [name, value] : settings) out.push_back(StrCat(name, "=", value));
    return TextArray(out);
  };
  for (const DatabaseInfo* d : scan.state().Databases()) {
    if (!d->settings.empty()) scan.Row(d->oid, 0, texts(d->settings));
  }
  for (const RoleInfo* r : scan.state().Roles()) {
    if (!r->settings.empty()) scan.Row(0, r->oid, texts(r->settings));
  }
}

}  // namespace insula::sql

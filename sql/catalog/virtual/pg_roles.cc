// Roles: pg_authid, pg_auth_members, and the views over them.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

Datum ValidUntil(VirtualScan& scan, const RoleInfo& r) {
  if (r.valid_until.empty()) return Datum::Null();
  auto at = TextIn(scan.functions().io, {oid::kTimestamptz, -1}, r.valid_until);
  return at.ok() ? *at : Datum::Null();
}

std::optional<std::string> Verifier(const RoleInfo& r) {
  if (r.verifier.empty()) return std::nullopt;
  return r.verifier;
}

Datum Config(const RoleInfo& r) {
  if (r.settings.empty()) return Datum::Null();
  std::vector<std::string> out;
  for (const auto& [name, value] : r.settings) out.push_back(StrCat(name, "=", value));
  return TextArray(out);
}

}  // namespace

void FillPgAuthid(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    scan.Row(r->oid, r->name, r->superuser, r->inherit, r->create_role, r->create_database, r->login, r->replication, r->bypass_rls,
             r->connection_limit, Verifier(*r), ValidUntil(scan, *r));
  }
}

void FillPgAuthMembers(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    DescriptorPtr d = scan.state().Find(r->oid);
    if (d == nullptr) continue;
    for (const auto& m : d->role().member_of()) scan.Row(m.role(), r->oid, m.grantor(), m.admin());
  }
}

void FillPgRoles(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    scan.Row(r->name, r->superuser, r->inherit, r->create_role, r->create_database, r->login, r->replication, r->connection_limit,
             "********", ValidUntil(scan, *r), r->bypass_rls, Config(*r), r->oid);
  }
}

void FillPgUser(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    if (!r->login) continue;
    scan.Row(r->name, r->oid, r->create_database, r->superuser, r->replication, r->bypass_rls, "********", ValidUntil(scan, *r), Config(*r));
  }
}

void FillPgShadow(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    if (!r->login) continue;
    scan.Row(r->name, r->oid, r->create_database, r->superuser, r->replication, r->bypass_rls, Verifier(*r), ValidUntil(scan, *r), Config(*r));
  }
}

void FillPgGroup(VirtualScan& scan) {
  for (const RoleInfo* r : scan.state().Roles()) {
    if (r->login) continue;
    std::vector<int64_t> members;
    for (const RoleInfo* m : scan.state().Roles()) {
      DescriptorPtr d = scan.state().Find(m->oid);
      if (d == nullptr) continue;
      for (const auto& membership : d->role().member_of()) {
        if (membership.role() == r->oid) members.push_back(m->oid);
      }
    }
    scan.Row(r->name, r->oid, OidArray(members));
  }
}

}  // namespace insula::sql

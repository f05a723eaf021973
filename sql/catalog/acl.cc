#include "sql/catalog/acl.h"

#include <algorithm>
#include <array>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

struct PrivilegeName {
  PrivilegeBits bit;
  char letter;
  std::string_view name;
};
// In the order in which PostgreSQL prints the letters.
constexpr std::array<PrivilegeName, 13> kNames = {{
    {acl::kInsert, 'a', "insert"},
    {acl::kSelect, 'r', "select"},
    {acl::kUpdate, 'w', "update"},
    {acl::kDelete, 'd', "delete"},
    {acl::kTruncate, 'D', "truncate"},
    {acl::kReferences, 'x', "references"},
    {acl::kTrigger, 't', "trigger"},
    {acl::kExecute, 'X', "execute"},
    {acl::kUsage, 'U', "usage"},
    {acl::kCreate, 'C', "create"},
    {acl::kTemporary, 'T', "temporary"},
    {acl::kTemporary, 0, "temp"},
    {acl::kConnect, 'c', "connect"},
}};

std::string_view Trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

}  // namespace

PrivilegeBits AllPrivileges(char kind) {
  using namespace acl;  // NOLINT: the bits
  switch (kind) {
    case 'r': return kInsert | kSelect | kUpdate | kDelete | kTruncate | kReferences | kTrigger;
    case 'c': return kInsert | kSelect | kUpdate | kReferences;
    case 'S': return kSelect | kUpdate | kUsage;
    case 'n': return kUsage | kCreate;
    case 'd': return kCreate | kTemporary | kConnect;
    default: return kExecute | kUsage;
  }
}

Acl DefaultAcl(char kind, Oid owner) {
  Acl out;
  if (kind == 'd') out.push_back({0, owner, acl::kTemporary | acl::kConnect, 0});
  out.push_back({owner, owner, AllPrivileges(kind), 0});
  return out;
}

std::optional<PrivilegeBits> PrivilegeByName(std::string_view name) {
  std::string lower = AsciiLower(name);
  for (const auto& n : kNames) {
    if (n.name == lower) return n.bit;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<PrivilegeBits>> ParsePrivileges(std::string_view text) {
  std::vector<PrivilegeBits> out;
  for (size_t begin = 0; begin <= text.size();) {
    size_t comma = std::min(text.find(',', begin), text.size());
    std::string_view word = Trim(text.substr(begin, comma - begin));
    std::string lower = AsciiLower(word);
    constexpr std::string_view kGrant = " with grant option";
    std::string_view name = lower;
    if (name.ends_with(kGrant)) name.remove_suffix(kGrant.size());
    auto bit = PrivilegeByName(Trim(name));
    if (!bit) return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized privilege type: \"", word, "\""));
    out.push_back(*bit);
    begin = comma + 1;
  }
  return out;
}

std::string AclLetters(PrivilegeBits privileges, PrivilegeBits grantable) {
  std::string out;
  for (const auto& n : kNames) {
    if (n.letter == 0 || !(privileges & n.bit)) continue;
    out.push_back(n.letter);
    if (grantable & n.bit) out.push_back('*');
  }
  return out;
}

std::string AclItemText(const AclItem& item, const CatalogState& state) {
  auto name = [&](Oid oid) {
    if (oid == 0) return std::string();
    const RoleInfo* role = state.FindRole(oid);
    return role == nullptr ? StrCat(oid) : QuoteIdent(role->name);
  };
  return StrCat(name(item.grantee), "=", AclLetters(item.privileges, item.grantable), "/", name(item.grantor));
}

std::optional<Acl> StoredAcl(const v1::Descriptor& descriptor) {
  if (!descriptor.has_acl()) return std::nullopt;
  Acl out;
  for (const auto& e : descriptor.acl()) out.push_back({e.grantee(), e.grantor(), e.privileges(), e.grantable()});
  return out;
}

void SetAcl(const Acl& acl, v1::Descriptor* descriptor) {
  descriptor->set_has_acl(true);
  descriptor->clear_acl();
  for (const auto& item : acl) {
    auto* e = descriptor->add_acl();
    e->set_grantee(item.grantee);
    e->set_grantor(item.grantor);
    e->set_privileges(item.privileges);
    e->set_grantable(item.grantable);
  }
}

void Grant(Acl* acl, Oid grantee, Oid grantor, PrivilegeBits privileges, bool with_grant_option) {
  auto it = std::find_if(acl->begin(), acl->end(), [&](const AclItem& i) { return i.grantee == grantee && i.grantor == grantor; });
  if (it == acl->end()) it = acl->insert(acl->end(), AclItem{grantee, grantor, 0, 0});
  it->privileges |= privileges;
  if (with_grant_option) it->grantable |= privileges;
}

void Revoke(Acl* acl, Oid grantee, PrivilegeBits privileges, bool only_grant_option) {
  for (auto& item : *acl) {
    if (item.grantee != grantee) continue;
    item.grantable &= ~privileges;
    if (!only_grant_option) item.privileges &= ~privileges;
  }
  std::erase_if(*acl, [](const AclItem& i) { return i.privileges == 0; });
}

absl::Status CheckPrivileges(const CatalogSnapshot& snapshot, Oid role, const StatementInfo& statement) {
  for (const RequiredPrivilege& need : statement.privileges) {
    TablePtr table = snapshot.FindTableByOid(need.table);
    if (table == nullptr) continue;
    PrivilegeBits wanted = 0;
    if (need.privileges & kPrivilegeSelect) wanted |= acl::kSelect;
    if (need.privileges & kPrivilegeInsert) wanted |= acl::kInsert;
    if (need.privileges & kPrivilegeUpdate) wanted |= acl::kUpdate;
    if (need.privileges & kPrivilegeDelete) wanted |= acl::kDelete;
    if (need.privileges & kPrivilegeTruncate) wanted |= acl::kTruncate;
    if (need.privileges & kPrivilegeReferences) wanted |= acl::kReferences;
    if (snapshot.HasPrivileges(role, need.table, wanted)) continue;
    std::vector<int16_t> attnums;
    for (int ordinal : need.columns) attnums.push_back(table->columns[ordinal].attnum);
    if (!attnums.empty() && snapshot.HasColumnPrivileges(role, need.table, wanted, attnums)) continue;
    std::string_view kind = table->kind == RelationKind::kView       ? "view"
                            : table->kind == RelationKind::kSequence ? "sequence"
                                                                     : "table";
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for ", kind, " ", table->name));
  }
  return absl::OkStatus();
}

}  // namespace insula::sql

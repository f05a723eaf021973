// Access control lists: which role may do what with an object.
//
// An object without a stored list has its kind's default: everything for the owner, and for PUBLIC: CONNECT and TEMPORARY on
// databases, USAGE on schema public, SELECT on virtual tables. The text form is PostgreSQL's: "grantee=privs/grantor".
#ifndef INSULA_SQL_CATALOG_ACL_H_
#define INSULA_SQL_CATALOG_ACL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/catalog/snapshot.h"
#include "sql/plan/statement.h"

namespace insula::sql {

namespace acl {
inline constexpr PrivilegeBits kInsert = 1 << 0, kSelect = 1 << 1, kUpdate = 1 << 2, kDelete = 1 << 3, kTruncate = 1 << 4,
                               kReferences = 1 << 5, kTrigger = 1 << 6, kExecute = 1 << 7, kUsage = 1 << 8, kCreate = 1 << 9,
                               kTemporary = 1 << 10, kConnect = 1 << 11;
}  // namespace acl

struct AclItem {
  Oid grantee = 0;  // 0: PUBLIC
  Oid grantor = 0;
  PrivilegeBits privileges = 0;
  PrivilegeBits grantable = 0;
};
using Acl = std::vector<AclItem>;

// What `ALL` means for a kind: 'r' table, 'S' sequence, 'n' schema, 'd' database, 'c' column.
PrivilegeBits AllPrivileges(char kind);
// Of a new object of that kind.
Acl DefaultAcl(char kind, Oid owner);

// "select" → kSelect; nullopt for unknown words.
std::optional<PrivilegeBits> PrivilegeByName(std::string_view name);
// "SELECT, UPDATE WITH GRANT OPTION" as has_table_privilege takes it. 22023 `unrecognized privilege type: "x"`.
absl::StatusOr<std::vector<PrivilegeBits>> ParsePrivileges(std::string_view text);
// "r", "a*", …: the letters of aclitem.
std::string AclLetters(PrivilegeBits privileges, PrivilegeBits grantable);
// One aclitem's text.
std::string AclItemText(const AclItem& item, const CatalogState& state);

// The stored list of a descriptor; nullopt: default.
std::optional<Acl> StoredAcl(const v1::Descriptor& descriptor);
void SetAcl(const Acl& acl, v1::Descriptor* descriptor);

// Grants and revokes as GRANT does: one entry per (grantee, grantor).
void Grant(Acl* acl, Oid grantee, Oid grantor, PrivilegeBits privileges, bool with_grant_option);
void Revoke(Acl* acl, Oid grantee, PrivilegeBits privileges, bool only_grant_option);

// Whether `role` may run the statement: 42501 `permission denied for table t` otherwise.
absl::Status CheckPrivileges(const CatalogSnapshot& snapshot, Oid role, const StatementInfo& statement);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_ACL_H_

// GRANT and REVOKE of privileges on objects.
#include <algorithm>

#include "sql/schema/ddl_internal.h"

namespace insula::sql {
namespace {

using T = ast::ObjectType;

std::string_view Word(char kind) {
  switch (kind) {
    case 'r': return "relation";
    case 'S': return "sequence";
    case 'n': return "schema";
    default: return "database";
  }
}

}  // namespace

Task<absl::StatusOr<DdlResult>> Ddl::GrantPrivileges(const ast::GrantStatement& s) {
  if (s.default_privileges) co_return PgUnsupported("ALTER DEFAULT PRIVILEGES");
  char kind = s.type == T::kTable ? 'r' : s.type == T::kSequence ? 'S' : s.type == T::kSchema ? 'n' : s.type == T::kDatabase ? 'd' : 0;
  if (kind == 0) co_return PgUnsupported(StrCat("GRANT ON ", ast::ObjectTypeName(s.type)));

  std::vector<Oid> objects;
  if (s.all_in_schema) {
    for (const auto& name : s.objects) {
      auto schema = snapshot().FindSchema(name.back());
      if (!schema) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", name.back(), "\" does not exist"));
      for (const TablePtr& t : snapshot().Relations(false)) {
        if (t->schema_oid == schema->oid && (t->kind == RelationKind::kSequence) == (kind == 'S')) objects.push_back(t->oid);
      }
    }
  } else {
    for (const auto& name : s.objects) {
      if (kind == 'n') {
        auto schema = snapshot().FindSchema(name.back());
        if (!schema) co_return PgError(sqlstate::kInvalidSchemaName, StrCat("schema \"", name.back(), "\" does not exist"));
        objects.push_back(schema->oid);
      } else if (kind == 'd') {
        const DatabaseInfo* d = snapshot().state().FindDatabase(name.back());
        if (d == nullptr) co_return PgError(sqlstate::kInvalidCatalogName, StrCat("database \"", name.back(), "\" does not exist"));
        objects.push_back(d->oid);
      } else {
        CO_ASSIGN_OR_RETURN(TablePtr t, Find(ToRelationName(name), false));
        objects.push_back(t->oid);
      }
    }
  }

  PrivilegeBits whole = 0;
  std::vector<std::pair<PrivilegeBits, std::vector<std::string>>> by_column;
  if (s.privileges.empty()) whole = AllPrivileges(kind);
  for (const auto& p : s.privileges) {
    PrivilegeBits bits = 0;
    if (p.name.empty()) {
      bits = p.columns.empty() ? AllPrivileges(kind) : AllPrivileges('c');
    } else {
      auto bit = PrivilegeByName(p.name);
      if (!bit) co_return PgError(sqlstate::kSyntaxError, StrCat("unrecognized privilege type \"", p.name, "\""));
      bits = *bit;
      if (bits & ~AllPrivileges(p.columns.empty() ? kind : 'c')) {
        std::string upper;
        for (char c : p.name) upper.push_back(static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c));
        co_return PgError("0LP01", StrCat("invalid privilege type ", upper, " for ", p.columns.empty() ? Word(kind) : "column"));
      }
    }
    if (p.columns.empty()) {
      whole |= bits;
    } else {
      by_column.emplace_back(bits, p.columns);
    }
  }

  std::vector<Oid> grantees;
  for (const auto& g : s.grantees) {
    CO_ASSIGN_OR_RETURN(Oid role, Role(g));
    if (role == 0 && s.grant && s.grant_option) co_return PgError("0LP01", "grant options can only be granted to roles");
    grantees.push_back(role);
  }

  c_.catalog->BeginChanges();
  for (Oid object : objects) {
    DescriptorPtr stored = snapshot().FindDescriptor(object);
    if (stored == nullptr) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied: system objects cannot be granted");
    if (!snapshot().IsOwner(User(), object)) {
      bool may = false;
      if (auto list = StoredAcl(*stored)) {
        for (const AclItem& i : *list) may |= snapshot().state().IsMember(User(), i.grantee) && (whole & ~i.grantable) == 0 && whole != 0;
      }
      if (!may) co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied for ", kind == 'r' ? "table" : Word(kind), " ", stored->name()));
    }
    v1::Descriptor d = *stored;
    char actual = d.has_sequence() ? 'S' : kind;
    if (whole != 0) {
      Acl list = StoredAcl(d).value_or(DefaultAcl(actual, d.owner()));
      for (Oid grantee : grantees) {
        if (s.grant) {
          Grant(&list, grantee, d.owner(), whole, s.grant_option);
        } else {
          Revoke(&list, grantee, whole, s.grant_option);
        }
      }
      SetAcl(list, &d);
    }
    for (const auto& [bits, columns] : by_column) {
      if (!d.has_table()) co_return PgUnsupported("column privileges of views");
      for (const std::string& name : columns) {
        CO_ASSIGN_OR_RETURN(v1::Column * column, RequireColumn(&d, name));
        Acl list;
        for (const auto& e : column->acl()) list.push_back({e.grantee(), e.grantor(), e.privileges(), e.grantable()});
        for (Oid grantee : grantees) {
          if (s.grant) {
            Grant(&list, grantee, d.owner(), bits, s.grant_option);
          } else {
            Revoke(&list, grantee, bits, s.grant_option);
          }
        }
        column->clear_acl();
        for (const AclItem& i : list) {
          auto* e = column->add_acl();
          e->set_grantee(i.grantee);
          e->set_grantor(i.grantor);
          e->set_privileges(i.privileges);
          e->set_grantable(i.grantable);
        }
      }
    }
    Put(d);
  }
  c_.catalog->EndChanges();
  co_return DdlResult{s.grant ? "GRANT" : "REVOKE", std::nullopt};
}

}  // namespace insula::sql

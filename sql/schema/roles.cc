// Roles and memberships.
#include <algorithm>

#include "sql/schema/ddl_internal.h"

namespace insula::sql {
namespace {

absl::Status Denied(std::string_view what) { return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied to ", what)); }

bool IsReserved(std::string_view name) { return name.starts_with("pg_"); }

bool IsVerifier(std::string_view password) { return password.starts_with("SCRAM-SHA-256$"); }

}  // namespace

absl::Status Ddl::ApplySetting(const ast::Statement& statement, google::protobuf::RepeatedPtrField<v1::Setting>* settings) const {
  const auto& set = statement.As<ast::SetStatement>();
  auto erase = [&](std::string_view name) {
    for (int i = settings->size() - 1; i >= 0; --i) {
      if (settings->Get(i).name() == name) settings->DeleteSubrange(i, 1);
    }
  };
  switch (set.action) {
    case ast::SetAction::kResetAll: settings->Clear(); return absl::OkStatus();
    case ast::SetAction::kReset:
    case ast::SetAction::kDefault: erase(set.name); return absl::OkStatus();
    case ast::SetAction::kValue: {
      erase(set.name);
      v1::Setting* s = settings->Add();
      s->set_name(set.name);
      s->set_value(StrJoin(set.values, ", "));
      return absl::OkStatus();
    }
    default: return PgUnsupported("this form of ALTER ... SET");
  }
}

Task<absl::Status> Ddl::ApplyRoleOptions(const std::vector<ast::Option>& options, v1::Descriptor* d) {
  v1::Role* r = d->mutable_role();
  for (const ast::Option& o : options) {
    bool on = o.AsBool().value_or(true);
    if (o.name == "superuser") {
      if (!IsSuperuser() && on != r->superuser()) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser to alter superuser attribute");
      r->set_superuser(on);
    } else if (o.name == "inherit") {
      r->set_inherit(on);
    } else if (o.name == "createrole") {
      r->set_create_role(on);
    } else if (o.name == "createdb") {
      r->set_create_database(on);
    } else if (o.name == "canlogin") {
      r->set_login(on);
    } else if (o.name == "isreplication") {
      if (!IsSuperuser()) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser to alter replication users");
      r->set_replication(on);
    } else if (o.name == "bypassrls") {
      if (!IsSuperuser()) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser to change bypassrls attribute");
      r->set_bypass_rls(on);
    } else if (o.name == "connectionlimit") {
      int64_t limit = o.AsInteger().value_or(-1);
      if (limit < -1) co_return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid connection limit: ", limit));
      r->set_connection_limit(static_cast<int32_t>(limit));
    } else if (o.name == "validUntil") {
      if (o.value) CO_RETURN_IF_ERROR(TextIn(c_.functions->io, {oid::kTimestamptz, -1}, *o.value).status());
      r->set_valid_until(o.value.value_or(""));
    } else if (o.name == "password" || o.name == "encryptedPassword") {
      if (!o.value || o.value->empty()) {
        r->clear_verifier();
      } else if (IsVerifier(*o.value)) {
        r->set_verifier(*o.value);
      } else {
        if (!c_.make_verifier) co_return PgUnsupported("clear-text passwords");
        CO_ASSIGN_OR_RETURN(std::string verifier, co_await c_.make_verifier(ctx_, *o.value));
        r->set_verifier(verifier);
      }
    } else if (o.name == "sysid") {
      Notice("00000", "SYSID can no longer be specified");
    } else if (o.name != "addroleto" && o.name != "rolemembers" && o.name != "adminmembers") {
      co_return PgUnsupported(StrCat("role option ", o.name));
    }
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<DdlResult>> Ddl::CreateRole(const ast::CreateRoleStatement& s) {
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  if (me == nullptr || (!me->superuser && !me->create_role)) co_return Denied("create role");
  if (IsReserved(s.name)) {
    co_return PgErrorBuilder("42939", StrCat("role name \"", s.name, "\" is reserved")).Detail("Role names starting with \"pg_\" are reserved.").Build();
  }
  if (snapshot().state().FindRole(s.name) != nullptr) co_return PgError(sqlstate::kDuplicateObject, StrCat("role \"", s.name, "\" already exists"));
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_name(s.name);
  d.mutable_role()->set_inherit(true);
  d.mutable_role()->set_login(s.role_kind == ast::CreateRoleStatement::kUser);
  d.mutable_role()->set_connection_limit(-1);
  CO_RETURN_IF_ERROR(co_await ApplyRoleOptions(s.options, &d));
  c_.catalog->BeginChanges();
  for (const ast::Option& o : s.options) {
    std::vector<std::string> names = o.list;
    if (names.empty() && o.value) names.push_back(*o.value);
    if (o.name == "addroleto") {
      for (const std::string& name : names) {
        ast::RoleName role;
        role.name = name;
        CO_ASSIGN_OR_RETURN(Oid other, Role(role));
        v1::Role::Membership* m = d.mutable_role()->add_member_of();
        m->set_role(other);
        m->set_grantor(me->oid);
      }
    } else if (o.name == "rolemembers" || o.name == "adminmembers") {
      for (const std::string& name : names) {
        ast::RoleName role;
        role.name = name;
        CO_ASSIGN_OR_RETURN(Oid other, Role(role));
        v1::Descriptor member = Copy(other);
        v1::Role::Membership* m = member.mutable_role()->add_member_of();
        m->set_role(oid);
        m->set_grantor(me->oid);
        m->set_admin(o.name == "adminmembers");
        Put(member);
      }
    }
  }
  Put(d);
  c_.catalog->EndChanges();
  co_return DdlResult{"CREATE ROLE", std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::AlterRole(const ast::AlterRoleStatement& s) {
  CO_ASSIGN_OR_RETURN(Oid oid, Role(s.role));
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  const RoleInfo* target = snapshot().state().FindRole(oid);
  bool own_password = oid == me->oid && std::all_of(s.options.begin(), s.options.end(), [](const auto& o) { return o.name == "password"; });
  if (target->superuser && !me->superuser) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser to alter superuser roles or change superuser attribute");
  if (!me->superuser && !me->create_role && !own_password) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied");
  if (snapshot().FindDescriptor(oid) == nullptr) co_return PgError("42939", StrCat("role name \"", target->name, "\" is reserved"));
  v1::Descriptor d = Copy(oid);
  CO_RETURN_IF_ERROR(co_await ApplyRoleOptions(s.options, &d));
  Put(d);
  co_return DdlResult{"ALTER ROLE", std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::AlterRoleSet(const ast::AlterRoleSetStatement& s) {
  if (!s.role) co_return PgUnsupported("ALTER ROLE ALL SET");
  if (!s.database.empty()) co_return PgUnsupported("ALTER ROLE ... IN DATABASE ... SET");
  CO_ASSIGN_OR_RETURN(Oid oid, Role(*s.role));
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  if (oid != me->oid && !me->superuser && !me->create_role) co_return PgError(sqlstate::kInsufficientPrivilege, "permission denied");
  if (snapshot().FindDescriptor(oid) == nullptr) co_return PgError("42939", "a predefined role cannot be altered");
  v1::Descriptor d = Copy(oid);
  CO_RETURN_IF_ERROR(ApplySetting(*s.set, d.mutable_role()->mutable_settings()));
  Put(d);
  co_return DdlResult{"ALTER ROLE", std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::DropRole(const ast::DropRoleStatement& s) {
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  if (me == nullptr || (!me->superuser && !me->create_role)) co_return Denied("drop role");
  for (const ast::RoleName& name : s.roles) {
    absl::StatusOr<Oid> oid = Role(name);
    if (!oid.ok()) {
      if (!s.if_exists) co_return oid.status();
      Notice("00000", StrCat("role \"", name.name, "\" does not exist, skipping"));
      continue;
    }
    if (*oid == me->oid) co_return PgError("55006", "current user cannot be dropped");
    const RoleInfo* target = snapshot().state().FindRole(*oid);
    if (target->superuser && !me->superuser) co_return PgError(sqlstate::kInsufficientPrivilege, "must be superuser to drop superusers");
    if (snapshot().FindDescriptor(*oid) == nullptr || *oid == kBootstrapRoleOid) {
      co_return PgError("2BP01", StrCat("cannot drop role ", target->name, " because it is required by the database system"));
    }
    std::vector<std::string> lines;
    for (const auto& [other, d] : snapshot().state().descriptors()) {
      std::string_view kind = d->has_table() ? "table" : d->has_view() ? "view" : d->has_sequence() ? "sequence" : d->has_schema() ? "schema" : d->has_database() ? "database" : "";
      if (kind.empty()) continue;
      if (d->owner() == *oid) lines.push_back(StrCat("owner of ", kind, " ", d->name()));
      for (const auto& item : d->acl()) {
        if (item.grantee() == *oid) lines.push_back(StrCat("privileges for ", kind, " ", d->name()));
      }
    }
    if (!lines.empty()) {
      co_return PgErrorBuilder("2BP01", StrCat("role \"", target->name, "\" cannot be dropped because some objects depend on it")).Detail(StrJoin(lines, "\n")).Build();
    }
    c_.catalog->BeginChanges();
    for (const auto& [other, d] : snapshot().state().descriptors()) {
      if (!d->has_role()) continue;
      v1::Descriptor member = *d;
      auto* of = member.mutable_role()->mutable_member_of();
      int before = of->size();
      for (int i = of->size() - 1; i >= 0; --i) {
        if (of->Get(i).role() == *oid) of->DeleteSubrange(i, 1);
      }
      if (of->size() != before) Put(member);
    }
    c_.catalog->Drop(*oid);
    c_.catalog->EndChanges();
  }
  co_return DdlResult{"DROP ROLE", std::nullopt};
}

Task<absl::StatusOr<DdlResult>> Ddl::GrantRole(const ast::GrantRoleStatement& s) {
  const RoleInfo* me = snapshot().state().FindRole(c_.user);
  for (const std::string& granted : s.granted) {
    ast::RoleName name;
    name.name = granted;
    CO_ASSIGN_OR_RETURN(Oid role, Role(name));
    bool admin = me->superuser || me->create_role;
    if (DescriptorPtr mine = snapshot().FindDescriptor(me->oid); mine != nullptr && !admin) {
      for (const auto& m : mine->role().member_of()) admin |= m.role() == role && m.admin();
    }
    if (!admin) co_return PgError(sqlstate::kInsufficientPrivilege, StrCat("must have admin option on role \"", granted, "\""));
    for (const ast::RoleName& grantee_name : s.grantees) {
      CO_ASSIGN_OR_RETURN(Oid grantee, Role(grantee_name));
      if (grantee == 0 || snapshot().FindDescriptor(grantee) == nullptr) co_return PgError("0LP01", "role cannot be granted to PUBLIC or a predefined role");
      if (s.grant && snapshot().state().IsMember(role, grantee)) {
        co_return PgError("0LP01", StrCat("role \"", granted, "\" is a member of role \"", snapshot().state().FindRole(grantee)->name, "\""));
      }
      v1::Descriptor d = Copy(grantee);
      auto* of = d.mutable_role()->mutable_member_of();
      auto known = std::find_if(of->begin(), of->end(), [role](const auto& m) { return m.role() == role; });
      std::string who = snapshot().state().FindRole(grantee)->name;
      if (s.grant) {
        if (known != of->end() && (known->admin() || !s.admin_option)) {
          Notice("00000", StrCat("role \"", who, "\" is already a member of role \"", granted, "\""));
          continue;
        }
        v1::Role::Membership* m = known == of->end() ? of->Add() : &*known;
        m->set_role(role);
        m->set_grantor(me->oid);
        m->set_admin(s.admin_option);
      } else if (known == of->end()) {
        Notice("01000", StrCat("role \"", who, "\" is not a member of role \"", granted, "\""), "WARNING");
        continue;
      } else if (s.admin_option) {
        known->set_admin(false);
      } else {
        of->erase(known);
      }
      Put(d);
    }
  }
  co_return DdlResult{s.grant ? "GRANT ROLE" : "REVOKE ROLE", std::nullopt};
}

}  // namespace insula::sql

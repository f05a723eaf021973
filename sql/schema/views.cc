// CREATE VIEW. A view keeps its query's text, stars expanded and relations qualified, and which relations it reads.
#include <algorithm>

#include "sql/schema/ddl_internal.h"

namespace insula::sql {

Task<absl::StatusOr<DdlResult>> Ddl::CreateView(const ast::CreateViewStatement& s) {
  if (s.persistence == 't') co_return PgUnsupported("CREATE TEMPORARY VIEW");
  if (s.check_option != 'n') co_return PgUnsupported("CREATE VIEW ... WITH CHECK OPTION");
  CO_ASSIGN_OR_RETURN(SchemaInfo schema, CreationSchema(s.view));
  CO_ASSIGN_OR_RETURN(ViewDefinition definition, BindView(*s.query, s.columns, Binding()));
  Oid known = snapshot().FindRelationOid(schema.oid, s.view.name);
  v1::Descriptor d;
  if (known != 0) {
    TablePtr old = snapshot().FindTableByOid(known);
    if (!s.replace) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", s.view.name, "\" already exists"));
    if (old->kind != RelationKind::kView) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", s.view.name, "\" is not a view"));
    CO_RETURN_IF_ERROR(CheckOwner(known, "view", s.view.name));
    if (definition.columns.size() < old->columns.size()) co_return PgError(sqlstate::kInvalidTableDefinition, "cannot drop columns from view");
    for (size_t i = 0; i < old->columns.size(); ++i) {
      const ResultColumn& now = definition.columns[i];
      if (now.name != old->columns[i].name) {
        co_return PgErrorBuilder(sqlstate::kInvalidTableDefinition, StrCat("cannot change name of view column \"", old->columns[i].name, "\" to \"", now.name, "\""))
            .Hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
            .Build();
      }
      if (now.type != old->columns[i].type) {
        co_return PgError(sqlstate::kInvalidTableDefinition,
                          StrCat("cannot change data type of view column \"", now.name, "\" from ", FormatType(old->columns[i].type.oid, old->columns[i].type.typmod),
                                 " to ", FormatType(now.type.oid, now.type.typmod)));
      }
    }
    d = Copy(known);
    d.mutable_view()->clear_columns();
    d.mutable_view()->clear_depends_on();
  } else {
    CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
    d.set_version(kDescriptorVersion);
    d.set_oid(oid);
    d.set_name(s.view.name);
    d.set_owner(User());
    d.mutable_view()->set_schema_oid(schema.oid);
  }
  v1::View* view = d.mutable_view();
  for (size_t i = 0; i < definition.columns.size(); ++i) {
    const ResultColumn& from = definition.columns[i];
    const TypeInfo* info = FindType(from.type.oid);
    if (info != nullptr && info->typtype == 'p' && from.type.oid != oid::kRecord) {
      co_return PgError(sqlstate::kInvalidTableDefinition, StrCat("column \"", from.name, "\" has pseudo-type ", FormatType(from.type.oid)));
    }
    v1::Column* c = view->add_columns();
    c->set_id(static_cast<uint32_t>(i + 1));
    c->set_attnum(static_cast<int32_t>(i + 1));
    c->set_name(from.name);
    c->set_type_oid(from.type.oid);
    c->set_typmod(from.type.typmod);
  }
  view->set_definition(definition.text);
  for (Oid on : definition.depends_on) view->add_depends_on(on);
  for (const ast::Option& o : s.options) {
    if (o.name != "security_barrier" && o.name != "security_invoker") co_return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized parameter \"", o.name, "\""));
    v1::Setting* setting = view->add_options();
    setting->set_name(o.name);
    setting->set_value(o.value.value_or("true"));
  }
  Put(d);
  co_return DdlResult{"CREATE VIEW", std::nullopt};
}

}  // namespace insula::sql

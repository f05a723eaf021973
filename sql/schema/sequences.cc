// Sequences. A counter in KV holds how far one has come; what changes its meaning gives it a new counter (storage id), so ALTER
// and RESTART commit and roll back with their transaction, as in PostgreSQL.
#include <algorithm>
#include <limits>

#include "sql/schema/ddl_internal.h"

namespace insula::sql {
namespace {

struct Bounds {
  int64_t min, max;
};
Bounds BoundsOf(Oid type) {
  if (type == oid::kInt2) return {std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max()};
  if (type == oid::kInt4) return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
}

absl::StatusOr<int64_t> Number(const ast::Option& o) {
  auto v = o.AsInteger();
  if (!v) return PgError(sqlstate::kInvalidTextRepresentation, StrCat("invalid input syntax for type bigint: \"", o.value.value_or(""), "\""));
  return *v;
}

}  // namespace

std::vector<Oid> Ddl::OwnedSequences(Oid table, uint32_t column) const {
  std::vector<Oid> out;
  for (const auto& [oid, d] : snapshot().state().descriptors()) {
    if (d->has_sequence() && d->sequence().owned_by_table() == table && (column == 0 || d->sequence().owned_by_column() == column)) out.push_back(oid);
  }
  return out;
}

Task<absl::Status> Ddl::RestartSequence(v1::Descriptor* d, int64_t start) {
  CO_ASSIGN_OR_RETURN(Oid storage, co_await NewOid());
  c_.txn->Delete(c_.catalog->catalog().layout().Sequence(d->sequence().storage_id()));
  d->mutable_sequence()->set_storage_id(storage);
  d->mutable_sequence()->set_start(start);
  co_return absl::OkStatus();
}

// Applies CREATE's or ALTER's options.
Task<absl::Status> Ddl::ChangeSequence(v1::Descriptor* d, const std::vector<ast::Option>& options, bool created) {
  v1::Sequence* s = d->mutable_sequence();
  const ast::Option *as = nullptr, *increment = nullptr, *minimum = nullptr, *maximum = nullptr, *start = nullptr, *restart = nullptr, *cache = nullptr,
                    *cycle = nullptr, *owned_by = nullptr;
  for (const ast::Option& o : options) {
    const ast::Option** slot = o.name == "as"          ? &as
                               : o.name == "increment" ? &increment
                               : o.name == "minvalue"  ? &minimum
                               : o.name == "maxvalue"  ? &maximum
                               : o.name == "start"     ? &start
                               : o.name == "restart"   ? &restart
                               : o.name == "cache"     ? &cache
                               : o.name == "cycle"     ? &cycle
                               : o.name == "owned_by"  ? &owned_by
                                                       : nullptr;
    if (o.name == "sequence_name") continue;
    if (slot == nullptr) co_return PgUnsupported(StrCat("sequence option ", o.name));
    if (*slot != nullptr) co_return PgErrorBuilder(sqlstate::kSyntaxError, "conflicting or redundant options").Position(o.position).Build();
    *slot = &o;
  }
  // How far it has come, before anything changes its meaning.
  std::optional<int64_t> last;
  if (!created) {
    CO_ASSIGN_OR_RETURN(int64_t counter, co_await c_.catalog->catalog().database().Increment(ctx_, c_.catalog->catalog().layout().Sequence(s->storage_id()), 0));
    if (counter != 0) last = counter + s->start() - s->increment();
  }
  Oid old_type = s->type_oid();
  if (as != nullptr) {
    CO_ASSIGN_OR_RETURN(SqlType type, TypeByName(as->value.value_or("")));
    if (!IsInteger(type.oid)) co_return PgError(sqlstate::kInvalidParameterValue, "sequence type must be smallint, integer, or bigint");
    s->set_type_oid(type.oid);
  }
  Bounds bounds = BoundsOf(s->type_oid()), old_bounds = BoundsOf(old_type);
  int64_t old_increment = s->increment();
  if (increment != nullptr) {
    CO_ASSIGN_OR_RETURN(int64_t v, Number(*increment));
    if (v == 0) co_return PgError(sqlstate::kInvalidParameterValue, "INCREMENT must not be zero");
    s->set_increment(v);
  } else if (created) {
    s->set_increment(1);
  }
  bool up = s->increment() > 0;
  if (maximum != nullptr && maximum->value) {
    CO_ASSIGN_OR_RETURN(int64_t v, Number(*maximum));
    s->set_maximum(v);
  } else if (as != nullptr && !created && maximum == nullptr && s->maximum() == old_bounds.max) {
    s->set_maximum(bounds.max);
  } else if (created || maximum != nullptr) {
    s->set_maximum(up ? bounds.max : -1);
  }
  if (minimum != nullptr && minimum->value) {
    CO_ASSIGN_OR_RETURN(int64_t v, Number(*minimum));
    s->set_minimum(v);
  } else if (as != nullptr && !created && minimum == nullptr && s->minimum() == old_bounds.min) {
    s->set_minimum(bounds.min);
  } else if (created || minimum != nullptr) {
    s->set_minimum(up ? 1 : bounds.min);
  }
  auto type_name = [&] { return FormatType(s->type_oid()); };
  if (s->maximum() < bounds.min || s->maximum() > bounds.max) {
    co_return PgError(sqlstate::kInvalidParameterValue, StrCat("MAXVALUE (", s->maximum(), ") is out of range for sequence data type ", type_name()));
  }
  if (s->minimum() < bounds.min || s->minimum() > bounds.max) {
    co_return PgError(sqlstate::kInvalidParameterValue, StrCat("MINVALUE (", s->minimum(), ") is out of range for sequence data type ", type_name()));
  }
  if (s->minimum() >= s->maximum()) {
    co_return PgError(sqlstate::kInvalidParameterValue, StrCat("MINVALUE (", s->minimum(), ") must be less than MAXVALUE (", s->maximum(), ")"));
  }
  if (start != nullptr) {
    CO_ASSIGN_OR_RETURN(int64_t v, Number(*start));
    s->set_declared_start(v);
  } else if (created) {
    s->set_declared_start(up ? s->minimum() : s->maximum());
  }
  if (s->declared_start() < s->minimum()) {
    co_return PgError(sqlstate::kInvalidParameterValue, StrCat("START value (", s->declared_start(), ") cannot be less than MINVALUE (", s->minimum(), ")"));
  }
  if (s->declared_start() > s->maximum()) {
    co_return PgError(sqlstate::kInvalidParameterValue, StrCat("START value (", s->declared_start(), ") cannot be greater than MAXVALUE (", s->maximum(), ")"));
  }
  if (cache != nullptr) {
    CO_ASSIGN_OR_RETURN(int64_t v, Number(*cache));
    if (v <= 0) co_return PgError(sqlstate::kInvalidParameterValue, StrCat("CACHE (", v, ") must be greater than zero"));
    s->set_cache(v);
  } else if (created) {
    s->set_cache(1);
  }
  if (cycle != nullptr) s->set_cycle(cycle->AsBool().value_or(true));
  if (created) {
    s->set_start(s->declared_start());
  } else if (restart != nullptr) {
    int64_t at = s->declared_start();
    if (restart->value) {
      CO_ASSIGN_OR_RETURN(at, Number(*restart));
    }
    if (at < s->minimum()) co_return PgError(sqlstate::kInvalidParameterValue, StrCat("RESTART value (", at, ") cannot be less than MINVALUE (", s->minimum(), ")"));
    if (at > s->maximum()) co_return PgError(sqlstate::kInvalidParameterValue, StrCat("RESTART value (", at, ") cannot be greater than MAXVALUE (", s->maximum(), ")"));
    CO_RETURN_IF_ERROR(co_await RestartSequence(d, at));
  } else if (s->increment() != old_increment) {
    // Go on from where it is, in the new steps.
    int64_t next = last ? *last + s->increment() : s->start();
    CO_RETURN_IF_ERROR(co_await RestartSequence(d, next));
  }
  if (owned_by != nullptr) {
    ast::QualifiedName name = owned_by->list;
    if (name.empty() && owned_by->value) name = {*owned_by->value};
    if (name.size() == 1 && name[0] == "none") {
      s->clear_owned_by_table();
      s->clear_owned_by_column();
    } else {
      if (name.size() < 2) {
        co_return PgErrorBuilder(sqlstate::kSyntaxError, "invalid OWNED BY option").Hint("Specify OWNED BY table.column or OWNED BY NONE.").Build();
      }
      std::string column = name.back();
      name.pop_back();
      CO_ASSIGN_OR_RETURN(TablePtr table, Find(ToRelationName(name), false));
      int ordinal = table->FindColumn(column);
      if (ordinal < 0) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", column, "\" of relation \"", table->name, "\" does not exist"));
      s->set_owned_by_table(table->oid);
      s->set_owned_by_column(table->columns[ordinal].id);
    }
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<Oid>> Ddl::CreateOwnedSequence(const v1::Descriptor& table, const v1::Column& column, Oid type, const std::vector<ast::Option>& options,
                                                   bool identity) {
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_owner(table.owner());
  d.set_name(ChooseName(table.table().schema_oid(), table.name(), column.name(), "seq"));
  v1::Sequence* s = d.mutable_sequence();
  s->set_schema_oid(table.table().schema_oid());
  s->set_storage_id(oid);
  s->set_type_oid(type);
  s->set_identity(identity);
  s->set_owned_by_table(table.oid());
  s->set_owned_by_column(column.id());
  CO_RETURN_IF_ERROR(co_await ChangeSequence(&d, options, true));
  Put(d);
  co_return oid;
}

Task<absl::StatusOr<DdlResult>> Ddl::CreateSequence(const ast::CreateSequenceStatement& q) {
  if (q.persistence == 't') co_return PgUnsupported("CREATE TEMPORARY SEQUENCE");
  CO_ASSIGN_OR_RETURN(SchemaInfo schema, CreationSchema(q.sequence));
  DdlResult result{"CREATE SEQUENCE", std::nullopt};
  if (NameTaken(schema.oid, q.sequence.name)) {
    if (!q.if_not_exists) co_return PgError(sqlstate::kDuplicateTable, StrCat("relation \"", q.sequence.name, "\" already exists"));
    Notice(sqlstate::kDuplicateTable, StrCat("relation \"", q.sequence.name, "\" already exists, skipping"));
    co_return result;
  }
  CO_ASSIGN_OR_RETURN(Oid oid, co_await NewOid());
  v1::Descriptor d;
  d.set_version(kDescriptorVersion);
  d.set_oid(oid);
  d.set_owner(User());
  d.set_name(q.sequence.name);
  d.mutable_sequence()->set_schema_oid(schema.oid);
  d.mutable_sequence()->set_storage_id(oid);
  d.mutable_sequence()->set_type_oid(oid::kInt8);
  CO_RETURN_IF_ERROR(co_await ChangeSequence(&d, q.options, true));
  Put(d);
  co_return result;
}

Task<absl::StatusOr<DdlResult>> Ddl::AlterSequence(const ast::AlterSequenceStatement& q) {
  DdlResult result{"ALTER SEQUENCE", std::nullopt};
  CO_ASSIGN_OR_RETURN(TablePtr t, Find(q.sequence, q.if_exists));
  if (t == nullptr) co_return result;
  if (!t->sequence) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", t->name, "\" is not a sequence"));
  CO_RETURN_IF_ERROR(CheckOwner(t->oid, "sequence", t->name));
  v1::Descriptor d = Copy(t->oid);
  CO_RETURN_IF_ERROR(co_await ChangeSequence(&d, q.options, false));
  Put(d);
  co_return result;
}

}  // namespace insula::sql

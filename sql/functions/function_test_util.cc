#include "sql/functions/function_test_util.h"

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/cast.h"

namespace insula::sql {

std::string ErrorText(const absl::Status& status) {
  PgErrorFields e = ToPgError(status);
  return StrCat(e.sqlstate, " ", e.message);
}

namespace {

std::string Show(const absl::StatusOr<std::string>& v) { return v.ok() ? *v : ErrorText(v.status()); }

}  // namespace

FunctionTester::FunctionTester() {
  ctx_.io.time_zone = TimeZone::Find("America/New_York");
  ctx_.io.now_us = ctx_.transaction_time_us = ctx_.statement_time_us = 646920000 * kUsPerSecond;  // 2020-07-01 08:00 there
  ctx_.random = &random_;
}

FunctionTester::Arguments FunctionTester::Parse(const std::vector<std::string_view>& args) {
  Arguments out;
  for (std::string_view arg : args) {
    if (arg == "NULL" || arg.starts_with("'")) {
      out.types.push_back(oid::kUnknown);
      out.values.push_back(arg == "NULL" ? Datum() : Datum::Bytes(arg.substr(1)));
      continue;
    }
    size_t equals = arg.find('=');
    CHECK(equals != std::string_view::npos) << arg;
    auto type = ParseTypeName(arg.substr(0, equals));
    CHECK_OK(type.status());
    std::string_view text = arg.substr(equals + 1);
    out.types.push_back(type->oid);
    if (text == "NULL") {
      out.values.emplace_back();
      continue;
    }
    auto value = TextIn(ctx_.io, *type, text);
    CHECK_OK(value.status());
    out.values.push_back(*std::move(value));
  }
  return out;
}

absl::Status FunctionTester::Prepare(const ResolvedCall& call, Arguments* args, std::vector<SqlType>* types) {
  for (size_t i = 0; i < args->values.size(); ++i) {
    types->push_back(SqlType{call.arg_types[i]});
    if (call.arg_types[i] == args->types[i]) continue;
    ASSIGN_OR_RETURN(args->values[i], CastDatum(ctx_.io, args->types[i], args->values[i], types->back(), CastContext::kImplicit));
  }
  if (call.variadic_index >= 0) {
    size_t first = static_cast<size_t>(call.variadic_index);
    std::vector<Vector> vectors;
    for (size_t i = first; i < args->values.size(); ++i) {
      vectors.emplace_back(SqlType{call.variadic_element});
      vectors.back().Append(args->values[i]);
    }
    std::vector<const Vector*> pointers;
    for (const Vector& v : vectors) pointers.push_back(&v);
    Vector packed;
    RETURN_IF_ERROR(EvaluateArray(pointers, 1, &packed));
    args->values.resize(first);
    types->resize(first);
    args->values.push_back(packed.Get(0));
    types->push_back(packed.type());
  }
  for (int k = 0; k < call.defaults_used; ++k) {
    size_t i = call.function->args.size() - static_cast<size_t>(call.defaults_used - k);
    ASSIGN_OR_RETURN(Datum v, DefaultArgument(*call.function, i));
    args->values.push_back(std::move(v));
    types->push_back(SqlType{call.function->args[i]});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FunctionTester::Run(const ResolvedCall& call, Arguments args) {
  SqlType result{call.result};
  if (call.is_cast) {
    ASSIGN_OR_RETURN(Datum v, CastDatum(ctx_.io, args.types[0], args.values[0], result, CastContext::kExplicit));
    return v.is_null() ? "NULL" : TextOut(ctx_.io, result, v);
  }
  std::vector<SqlType> types;
  RETURN_IF_ERROR(Prepare(call, &args, &types));
  ASSIGN_OR_RETURN(Datum v, EvaluateRow(*call.function, result, ctx_, args.values, types));
  return v.is_null() ? "NULL" : TextOut(ctx_.io, result, v);
}

std::string FunctionTester::Call(std::string_view name, const std::vector<std::string_view>& texts) {
  Arguments args = Parse(texts);
  auto call = ResolveFunction(name, args.types);
  if (!call.ok()) return ErrorText(call.status());
  return Show(Run(*call, std::move(args)));
}

std::string FunctionTester::Op(std::string_view left, std::string_view op, std::string_view right) {
  Arguments args = Parse({left, right});
  auto call = ResolveOperator(op, args.types[0], args.types[1]);
  if (!call.ok()) return ErrorText(call.status());
  return Show(Run(call->call, std::move(args)));
}

std::string FunctionTester::Prefix(std::string_view op, std::string_view right) {
  Arguments args = Parse({right});
  auto call = ResolveOperator(op, kInvalidOid, args.types[0]);
  if (!call.ok()) return ErrorText(call.status());
  return Show(Run(call->call, std::move(args)));
}

std::string FunctionTester::Set(std::string_view name, const std::vector<std::string_view>& texts) {
  Arguments args = Parse(texts);
  auto call = ResolveFunction(name, args.types);
  if (!call.ok()) return ErrorText(call.status());
  std::vector<SqlType> types, out_types;
  absl::Status status = Prepare(*call, &args, &types);
  if (!status.ok()) return ErrorText(status);
  for (Oid t : call->out_types) out_types.push_back(SqlType{t});
  if (out_types.empty()) out_types.push_back(SqlType{call->result});
  for (const Datum& v : args.values) {
    if (v.is_null() && call->function->strict) return "";
  }
  auto cursor = OpenSet(*call->function, ctx_, SetCall{args.values, types, out_types});
  if (!cursor.ok()) return ErrorText(cursor.status());
  std::string out;
  Batch batch;
  while (true) {
    batch.Reset(out_types);
    status = (*cursor)->Next(ctx_, 2, &batch);  // small steps, so that cursors have to go on where they were
    if (!status.ok()) return ErrorText(status);
    if (batch.rows == 0) return out;
    CHECK_LE(batch.rows, 2u);
    for (size_t i = 0; i < batch.rows; ++i) {
      if (!out.empty()) out += " | ";
      for (size_t c = 0; c < out_types.size(); ++c) {
        Datum v = batch.columns[c].Get(i);
        StrAppend(&out, c > 0 ? "," : "", v.is_null() ? "NULL" : TextOut(ctx_.io, out_types[c], v));
      }
    }
  }
}

std::string FunctionTester::Aggregate(std::string_view name, const std::vector<std::vector<std::string_view>>& rows) {
  Arguments first = Parse(rows[0]);
  auto call = ResolveFunction(name, first.types);
  if (!call.ok()) return ErrorText(call.status());
  std::vector<SqlType> types;
  std::vector<Vector> columns;
  for (const auto& row : rows) {
    Arguments args = Parse(row);
    types.clear();
    absl::Status status = Prepare(*call, &args, &types);
    if (!status.ok()) return ErrorText(status);
    if (columns.empty()) {
      for (SqlType t : types) columns.emplace_back(t);
    }
    for (size_t i = 0; i < args.values.size(); ++i) columns[i].Append(args.values[i]);
  }
  auto aggregator = MakeAggregator(*call->function, types, SqlType{call->result});
  if (!aggregator.ok()) return ErrorText(aggregator.status());
  std::vector<const Vector*> pointers;
  for (const Vector& c : columns) pointers.push_back(&c);
  (*aggregator)->AddGroups(1);
  absl::Status status = (*aggregator)->Update(ctx_, pointers, rows.size(), nullptr);
  Vector out(SqlType{call->result});
  if (status.ok()) status = (*aggregator)->Finalize(ctx_, 0, 1, &out);
  if (!status.ok()) return ErrorText(status);
  return out.IsNull(0) ? "NULL" : TextOut(ctx_.io, SqlType{call->result}, out.Get(0));
}

}  // namespace insula::sql

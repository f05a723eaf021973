// Calling functions, and the special forms that are not functions in the catalog.
#include <string>
#include <vector>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/registry.h"
#include "sql/types/array.h"
#include "sql/types/cast.h"

namespace insula::sql {
namespace {

absl::Status NotImplemented(const FunctionInfo& f) {
  std::string signature = StrCat("function ", f.name, "(");
  for (size_t i = 0; i < f.args.size(); ++i) StrAppend(&signature, i > 0 ? ", " : "", FormatType(f.args[i]));
  return PgUnsupported(StrCat(signature, ")"));
}

}  // namespace

absl::Status Evaluate(const FunctionInfo& function, SqlType result, FunctionContext& ctx, std::span<const Vector* const> args,
                      size_t rows, Vector* out) {
  if (function.eval == nullptr) return NotImplemented(function);
  out->Reset(result);
  out->Resize(rows);
  if (function.strict) {
    for (const Vector* arg : args) out->OrNulls(*arg);
  }
  return function.eval(ctx, args, rows, out);
}

absl::StatusOr<Datum> EvaluateRow(const FunctionInfo& function, SqlType result, FunctionContext& ctx,
                                  std::span<const Datum> args, std::span<const SqlType> arg_types) {
  CHECK_EQ(args.size(), arg_types.size());
  if (function.strict) {
    for (const Datum& v : args) {
      if (v.is_null()) return Datum();
    }
  }
  std::vector<Vector> vectors(args.size());
  std::vector<const Vector*> pointers;
  for (size_t i = 0; i < args.size(); ++i) {
    vectors[i].Reset(arg_types[i]);
    vectors[i].Append(args[i]);
    pointers.push_back(&vectors[i]);
  }
  Vector out;
  RETURN_IF_ERROR(Evaluate(function, result, ctx, pointers, 1, &out));
  return out.Get(0);
}

absl::StatusOr<std::unique_ptr<SetCursor>> OpenSet(const FunctionInfo& function, FunctionContext& ctx, const SetCall& call) {
  if (function.set_eval == nullptr) return NotImplemented(function);
  return function.set_eval(ctx, call);
}

absl::StatusOr<std::unique_ptr<Aggregator>> MakeAggregator(const FunctionInfo& function, std::span<const SqlType> arg_types,
                                                           SqlType result) {
  if (function.aggregate == nullptr) return NotImplemented(function);
  return function.aggregate(AggregateCall{arg_types, result});
}

// ---- special forms

absl::Status EvaluateAnyAll(const FunctionInfo& op, bool any, FunctionContext& ctx, const Vector& left, const Vector& arrays,
                            size_t rows, Vector* out) {
  out->Reset(SqlType{oid::kBool});
  out->Resize(rows);
  Oid element = ElementTypeOf(arrays.type().oid);
  // All pairs (left, element) of the batch go through the operator together; `owner` says whose they are.
  Vector lefts(left.type()), elements(SqlType{element != 0 ? element : oid::kText}), results;
  std::vector<uint32_t> owner;
  std::vector<uint8_t> saw_null(rows, 0);
  for (size_t i = 0; i < rows; ++i) {
    if (arrays.IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    out->bools()[i] = !any;
    ArrayReader reader(arrays.bytes(i));
    PhysicalKind kind = elements.kind();
    bool is_null;
    std::string_view payload;
    while (reader.Next(&is_null, &payload)) {
      lefts.AppendFrom(left, i);
      if (is_null) elements.AppendNull();
      else if (kind == PhysicalKind::kBytes) elements.AppendBytes(payload);
      else elements.Append(PayloadToDatum(kind, payload));
      owner.push_back(static_cast<uint32_t>(i));
    }
  }
  const Vector* args[] = {&lefts, &elements};
  RETURN_IF_ERROR(Evaluate(op, SqlType{oid::kBool}, ctx, args, owner.size(), &results));
  for (size_t k = 0; k < owner.size(); ++k) {
    size_t i = owner[k];
    if (results.IsNull(k)) saw_null[i] = 1;
    else if ((results.bools()[k] != 0) == any) out->bools()[i] = any;
  }
  for (size_t i = 0; i < rows; ++i) {
    if (saw_null[i] && (out->bools()[i] != 0) != any) out->SetNull(i);
  }
  return absl::OkStatus();
}

absl::Status EvaluateGreatestLeast(bool greatest, std::span<const Vector* const> args, size_t rows, Vector* out) {
  CHECK(!args.empty());
  out->Reset(args[0]->type());
  for (size_t i = 0; i < rows; ++i) {
    const Vector* best = nullptr;
    for (const Vector* arg : args) {
      if (arg->IsNull(i)) continue;
      if (best == nullptr || (greatest ? Vector::Compare(*arg, i, *best, i) > 0 : Vector::Compare(*arg, i, *best, i) < 0)) best = arg;
    }
    if (best == nullptr) out->AppendNull();
    else out->AppendFrom(*best, i);
  }
  return absl::OkStatus();
}

absl::Status EvaluateDistinct(bool negate, const Vector& a, const Vector& b, size_t rows, Vector* out) {
  out->Reset(SqlType{oid::kBool});
  out->Resize(rows);
  for (size_t i = 0; i < rows; ++i) out->bools()[i] = Vector::NotDistinct(a, i, b, i) == negate;
  return absl::OkStatus();
}

absl::Status EvaluateArray(std::span<const Vector* const> args, size_t rows, Vector* out) {
  Oid arg_type = args.empty() ? oid::kText : args[0]->type().oid;
  bool nested = IsArray(arg_type);
  Oid element = nested ? ElementTypeOf(arg_type) : arg_type;
  Oid array = nested ? arg_type : ArrayTypeOf(element);
  if (array == 0) {
    return PgError(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", FormatType(element)));
  }
  auto mismatch = [] {
    return PgError("2202E", "multidimensional arrays must have array expressions with matching dimensions");
  };
  out->Reset(SqlType{array});
  for (size_t i = 0; i < rows; ++i) {
    ArrayValue value;
    value.element = element;
    if (!nested) {
      for (const Vector* arg : args) value.elements.push_back(arg->Get(i));
      if (!args.empty()) value.dims.push_back({static_cast<int32_t>(args.size()), 1});
      out->AppendBytes(value.Encode());
      continue;
    }
    std::vector<ArrayDimension> inner;
    size_t nonempty = 0;
    for (const Vector* arg : args) {
      if (arg->IsNull(i)) continue;
      ASSIGN_OR_RETURN(ArrayValue part, ArrayValue::Decode(arg->bytes(i)));
      if (part.dims.empty()) continue;
      if (nonempty++ == 0) inner = part.dims;
      else if (inner != part.dims) return mismatch();
      for (Datum& e : part.elements) value.elements.push_back(std::move(e));
    }
    if (nonempty != 0 && nonempty != args.size()) return mismatch();
    if (nonempty != 0) {
      value.dims.push_back({static_cast<int32_t>(args.size()), 1});
      value.dims.insert(value.dims.end(), inner.begin(), inner.end());
    }
    out->AppendBytes(value.Encode());
  }
  return absl::OkStatus();
}

absl::Status EvaluateRowConstructor(std::span<const Vector* const> args, size_t rows, Vector* out) {
  out->Reset(SqlType{oid::kRecord});
  for (size_t i = 0; i < rows; ++i) {
    RecordValue record;
    for (const Vector* arg : args) {
      record.types.push_back(arg->type().oid == oid::kUnknown ? oid::kText : arg->type().oid);
      record.fields.push_back(arg->Get(i));
    }
    out->AppendBytes(record.Encode());
  }
  return absl::OkStatus();
}

absl::Status EvaluateSubscript(const Vector& array, std::span<const Vector* const> subscripts, size_t rows, Vector* out) {
  Oid element = ElementTypeOf(array.type().oid);
  if (element == 0) {
    return PgError(sqlstate::kDatatypeMismatch,
                   StrCat("cannot subscript type ", FormatType(array.type().oid), " because it does not support subscripting"));
  }
  out->Reset(SqlType{element, array.type().typmod});
  for (size_t i = 0; i < rows; ++i) {
    bool null = array.IsNull(i);
    for (const Vector* s : subscripts) null |= s->IsNull(i);
    if (null) {
      out->AppendNull();
      continue;
    }
    ArrayReader reader(array.bytes(i));
    int64_t offset = 0;
    bool inside = reader.dims().size() == subscripts.size();
    for (size_t d = 0; inside && d < subscripts.size(); ++d) {
      int64_t at = subscripts[d]->ints()[i] - reader.dims()[d].lower;
      inside = at >= 0 && at < reader.dims()[d].size;
      offset = offset * reader.dims()[d].size + at;
    }
    bool is_null = true;
    std::string_view payload;
    for (int64_t k = 0; inside && k <= offset; ++k) inside = reader.Next(&is_null, &payload);
    if (!inside || is_null) out->AppendNull();
    else out->Append(PayloadToDatum(out->kind(), payload));
  }
  return absl::OkStatus();
}

absl::Status EvaluateSlice(const Vector& array, std::span<const Vector* const> lower, std::span<const Vector* const> upper,
                           size_t rows, Vector* out) {
  CHECK_EQ(lower.size(), upper.size());
  out->Reset(array.type());
  for (size_t i = 0; i < rows; ++i) {
    bool null = array.IsNull(i);
    for (const Vector* v : lower) null |= v != nullptr && v->IsNull(i);
    for (const Vector* v : upper) null |= v != nullptr && v->IsNull(i);
    if (null) {
      out->AppendNull();
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue value, ArrayValue::Decode(array.bytes(i)));
    size_t ndim = value.dims.size();
    std::vector<int64_t> from(ndim), to(ndim);
    bool empty = ndim == 0 || lower.size() > ndim;
    for (size_t d = 0; d < ndim && !empty; ++d) {
      int64_t first = value.dims[d].lower, last = first + value.dims[d].size - 1;
      from[d] = d < lower.size() && lower[d] != nullptr ? std::max<int64_t>(lower[d]->ints()[i], first) : first;
      to[d] = d < upper.size() && upper[d] != nullptr ? std::min<int64_t>(upper[d]->ints()[i], last) : last;
      empty = from[d] > to[d];
    }
    ArrayValue slice;
    slice.element = value.element;
    if (!empty) {
      for (size_t k = 0; k < value.elements.size(); ++k) {
        size_t rest = k;
        bool inside = true;
        for (size_t d = ndim; d-- > 0 && inside;) {
          int64_t at = value.dims[d].lower + static_cast<int64_t>(rest % static_cast<size_t>(value.dims[d].size));
          rest /= static_cast<size_t>(value.dims[d].size);
          inside = at >= from[d] && at <= to[d];
        }
        if (inside) slice.elements.push_back(std::move(value.elements[k]));
      }
      // A slice counts from 1 in every dimension.
      for (size_t d = 0; d < ndim; ++d) slice.dims.push_back({static_cast<int32_t>(to[d] - from[d] + 1), 1});
    }
    out->AppendBytes(slice.Encode());
  }
  return absl::OkStatus();
}

}  // namespace insula::sql

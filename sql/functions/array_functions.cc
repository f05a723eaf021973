// Functions and operators of arrays.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/array_functions.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/utf8.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using V = std::string_view;
using OptionalInt = std::optional<int64_t>;
using A = absl::StatusOr<ArrayValue>;

constexpr int64_t kMaxElements = 134217727;

absl::Status ArrayError(V message) { return PgError("2202E", message); }

// ---- shape

OptionalInt Length(V bytes, int64_t dimension) {
  ArrayReader a(bytes);
  if (dimension < 1 || dimension > static_cast<int64_t>(a.dims().size())) return std::nullopt;
  return a.dims()[static_cast<size_t>(dimension - 1)].size;
}
OptionalInt Lower(V bytes, int64_t dimension) {
  ArrayReader a(bytes);
  if (dimension < 1 || dimension > static_cast<int64_t>(a.dims().size())) return std::nullopt;
  return a.dims()[static_cast<size_t>(dimension - 1)].lower;
}
OptionalInt Upper(V bytes, int64_t dimension) {
  auto lower = Lower(bytes, dimension);
  return lower ? OptionalInt(*lower + *Length(bytes, dimension) - 1) : std::nullopt;
}

// ---- building. These see NULLs: a NULL array counts as none.

A AppendOrPrepend(A array, Datum v, bool append) {
  RETURN_IF_ERROR(array.status());
  if (array->dims.size() > 1) return PgError("22000", "argument must be empty or one-dimensional array");
  if (array->dims.empty()) {
    array->dims.push_back({1, 1});
    array->elements.push_back(std::move(v));
    return array;
  }
  if (append) {
    array->elements.push_back(std::move(v));
  } else {
    array->elements.insert(array->elements.begin(), std::move(v));
  }
  ++array->dims[0].size;
  return array;
}

template <bool append>
absl::Status ArrayPush(FunctionContext&, Args args, size_t rows, Vector* out) {
  const Vector &arrays = *args[append ? 0 : 1], &values = *args[append ? 1 : 0];
  for (size_t i = 0; i < rows; ++i) {
    ArrayValue empty;
    empty.element = ElementTypeOf(out->type().oid);
    A array = arrays.IsNull(i) ? A(empty) : ArrayValue::Decode(arrays.bytes(i));
    ASSIGN_OR_RETURN(ArrayValue result, AppendOrPrepend(std::move(array), values.Get(i), append));
    out->SetBytes(i, result.Encode());
  }
  return absl::OkStatus();
}

A Concat(ArrayValue a, ArrayValue b) {
  if (a.dims.empty()) return b;
  if (b.dims.empty()) return a;
  auto incompatible = [] { return ArrayError("cannot concatenate incompatible arrays"); };
  auto same_shape = [](std::span<const ArrayDimension> x, std::span<const ArrayDimension> y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& p, const auto& q) { return p.size == q.size; });
  };
  size_t na = a.dims.size(), nb = b.dims.size();
  if (na == nb) {
    if (!same_shape(std::span(a.dims).subspan(1), std::span(b.dims).subspan(1))) return incompatible();
    a.dims[0].size += b.dims[0].size;
  } else if (na == nb + 1) {
    if (!same_shape(std::span(a.dims).subspan(1), b.dims)) return incompatible();
    ++a.dims[0].size;
  } else if (nb == na + 1) {
    if (!same_shape(std::span(b.dims).subspan(1), a.dims)) return incompatible();
    a.dims = b.dims;
    ++a.dims[0].size;
  } else {
    return incompatible();
  }
  for (Datum& e : b.elements) a.elements.push_back(std::move(e));
  return a;
}

absl::Status ArrayCat(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    bool an = args[0]->IsNull(i), bn = args[1]->IsNull(i);
    if (an && bn) {
      out->SetNull(i);
    } else if (an || bn) {
      out->SetBytes(i, args[an ? 1 : 0]->bytes(i));
    } else {
      ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
      ASSIGN_OR_RETURN(ArrayValue b, ArrayValue::Decode(args[1]->bytes(i)));
      ASSIGN_OR_RETURN(ArrayValue r, Concat(std::move(a), std::move(b)));
      out->SetBytes(i, r.Encode());
    }
  }
  return absl::OkStatus();
}

absl::Status ArrayFill(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[1]->IsNull(i) || (args.size() > 2 && args[2]->IsNull(i))) {
      return PgError("22004", "dimension array or low bound array cannot be null");
    }
    ASSIGN_OR_RETURN(ArrayValue sizes, ArrayValue::Decode(args[1]->bytes(i)));
    ArrayValue lowers;
    if (args.size() > 2) {
      ASSIGN_OR_RETURN(lowers, ArrayValue::Decode(args[2]->bytes(i)));
      if (lowers.elements.size() != sizes.elements.size()) return ArrayError("wrong number of array subscripts");
    }
    ArrayValue result;
    result.element = args[0]->type().oid;
    int64_t count = sizes.elements.empty() ? 0 : 1;
    for (size_t d = 0; d < sizes.elements.size(); ++d) {
      bool null_bound = !lowers.elements.empty() && lowers.elements[d].is_null();
      if (sizes.elements[d].is_null() || null_bound) return PgError("22004", "dimension values cannot be null");
      int32_t size = static_cast<int32_t>(sizes.elements[d].int_value());
      int32_t lower = lowers.elements.empty() ? 1 : static_cast<int32_t>(lowers.elements[d].int_value());
      result.dims.push_back({size, lower});
      count *= std::max(size, 0);
      if (size < 0 || count > kMaxElements) {
        return PgError(sqlstate::kProgramLimitExceeded, "array size exceeds the maximum allowed (134217727)");
      }
    }
    if (count == 0) result.dims.clear();
    result.elements.assign(static_cast<size_t>(count), args[0]->Get(i));
    out->SetBytes(i, result.Encode());
  }
  return absl::OkStatus();
}

// ---- searching

absl::Status ArrayPosition(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i) || (args.size() > 2 && args[2]->IsNull(i))) {
      if (args.size() > 2 && args[2]->IsNull(i)) return PgError("22004", "initial position must not be null");
      out->SetNull(i);
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
    if (a.dims.size() > 1) {
      return PgError(sqlstate::kFeatureNotSupported, "searching for elements in multidimensional arrays is not supported");
    }
    Datum wanted = args[1]->Get(i);
    int64_t lower = a.dims.empty() ? 1 : a.dims[0].lower;
    int64_t from = args.size() > 2 ? args[2]->ints()[i] - lower : 0;
    bool found = false;
    for (int64_t k = std::max<int64_t>(from, 0); k < static_cast<int64_t>(a.elements.size()) && !found; ++k) {
      if (!DatumsNotDistinct(a.element, a.elements[static_cast<size_t>(k)], wanted)) continue;
      out->ints()[i] = lower + k;
      found = true;
    }
    if (!found) out->SetNull(i);
  }
  return absl::OkStatus();
}

absl::Status ArrayPositions(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
    if (a.dims.size() > 1) {
      return PgError(sqlstate::kFeatureNotSupported, "searching for elements in multidimensional arrays is not supported");
    }
    Datum wanted = args[1]->Get(i);
    std::vector<Datum> found;
    for (size_t k = 0; k < a.elements.size(); ++k) {
      if (DatumsNotDistinct(a.element, a.elements[k], wanted)) found.push_back(Datum::Int(a.dims[0].lower + static_cast<int64_t>(k)));
    }
    out->SetBytes(i, ArrayValue::Of(oid::kInt4, std::move(found)).Encode());
  }
  return absl::OkStatus();
}

// array_remove (2 arguments) and array_replace (3).
absl::Status ArrayReplace(FunctionContext&, Args args, size_t rows, Vector* out) {
  bool remove = args.size() == 2;
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
    if (remove && a.dims.size() > 1) {
      return PgError(sqlstate::kFeatureNotSupported, "removing elements from multidimensional arrays is not supported");
    }
    Datum wanted = args[1]->Get(i);
    if (remove) {
      std::erase_if(a.elements, [&](const Datum& e) { return DatumsNotDistinct(a.element, e, wanted); });
      if (a.elements.empty()) a.dims.clear();
      else a.dims[0].size = static_cast<int32_t>(a.elements.size());
    } else {
      Datum with = args[2]->Get(i);
      for (Datum& e : a.elements) {
        if (DatumsNotDistinct(a.element, e, wanted)) e = with;
      }
    }
    out->SetBytes(i, a.Encode());
  }
  return absl::OkStatus();
}

// Every element of b (but NULL, which equals nothing) is in a.
absl::StatusOr<bool> Contains(V x, V y) {
  ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(x));
  ASSIGN_OR_RETURN(ArrayValue b, ArrayValue::Decode(y));
  for (const Datum& wanted : b.elements) {
    bool found = !wanted.is_null() && std::any_of(a.elements.begin(), a.elements.end(), [&](const Datum& e) {
      return !e.is_null() && DatumsEqual(a.element, e, wanted);
    });
    if (!found) return false;
  }
  return true;
}

absl::StatusOr<bool> Overlap(V x, V y) {
  ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(x));
  ASSIGN_OR_RETURN(ArrayValue b, ArrayValue::Decode(y));
  for (const Datum& p : a.elements) {
    for (const Datum& q : b.elements) {
      if (!p.is_null() && !q.is_null() && DatumsEqual(a.element, p, q)) return true;
    }
  }
  return false;
}

// ---- text

absl::Status ArrayToText(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i) || args[1]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
    bool null_text = args.size() > 2 && !args[2]->IsNull(i);
    size_t begin = out->heap()->size();
    bool first = true;
    for (const Datum& e : a.elements) {
      if (e.is_null() && !null_text) continue;
      if (!first) out->heap()->append(args[1]->bytes(i));
      first = false;
      if (e.is_null()) out->heap()->append(args[2]->bytes(i));
      else TextOutAppend(ctx.io, SqlType{a.element}, e, out->heap());
    }
    out->SetBytesFrom(i, begin);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Datum> SplitText(V text, const std::optional<V>& separator, const std::optional<V>& null_text) {
  std::vector<Datum> parts;
  auto add = [&](V part) { parts.push_back(null_text && part == *null_text ? Datum() : Datum::Bytes(part)); };
  if (text.empty()) return parts;
  if (!separator) {
    for (size_t i = 0; i < text.size();) {
      size_t n = Utf8Length(text[i], text.size() - i);
      add(text.substr(i, n));
      i += n;
    }
    return parts;
  }
  if (separator->empty()) {
    add(text);
    return parts;
  }
  while (true) {
    size_t at = text.find(*separator);
    add(text.substr(0, at));
    if (at == V::npos) return parts;
    text.remove_prefix(at + separator->size());
  }
}

namespace {

absl::Status TextToArray(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    std::optional<V> separator, null_text;
    if (!args[1]->IsNull(i)) separator = args[1]->bytes(i);
    if (args.size() > 2 && !args[2]->IsNull(i)) null_text = args[2]->bytes(i);
    out->SetBytes(i, ArrayValue::Of(oid::kText, SplitText(args[0]->bytes(i), separator, null_text)).Encode());
  }
  return absl::OkStatus();
}

}  // namespace

void RegisterArrayFunctions(Registrar& r) {
  r.Scalar("array_length", Lift<[](V a, int64_t d) { return Length(a, d); }>);
  r.Scalar("array_lower", Lift<[](V a, int64_t d) { return Lower(a, d); }>);
  r.Scalar("array_upper", Lift<[](V a, int64_t d) { return Upper(a, d); }>);
  r.Scalar("array_cardinality", Lift<[](V a) { return static_cast<int64_t>(ArrayReader(a).count()); }>);
  r.Scalar("array_ndims", Lift<[](V a) -> OptionalInt {
             size_t n = ArrayReader(a).dims().size();
             return n == 0 ? OptionalInt() : OptionalInt(static_cast<int64_t>(n));
           }>);
  r.Scalar("array_dims", Lift<[](V a) -> std::optional<std::string> {
             ArrayReader reader(a);
             if (reader.dims().empty()) return std::nullopt;
             std::string text;
             for (const ArrayDimension& d : reader.dims()) StrAppend(&text, "[", d.lower, ":", d.lower + d.size - 1, "]");
             return text;
           }>);
  r.Scalar("array_append", ArrayPush<true>);
  r.Scalar("array_prepend", ArrayPush<false>);
  r.Scalar("array_cat", ArrayCat);
  r.Scalar("array_fill", ArrayFill);
  r.Scalar("array_fill_with_lower_bounds", ArrayFill);
  r.Scalar("array_position", ArrayPosition);
  r.Scalar("array_position_start", ArrayPosition);
  r.Scalar("array_positions", ArrayPositions);
  r.Scalar("array_remove", ArrayReplace);
  r.Scalar("array_replace", ArrayReplace);
  r.Scalar("arraycontains", Lift<[](V a, V b) { return Contains(a, b); }>);
  r.Scalar("arraycontained", Lift<[](V a, V b) { return Contains(b, a); }>);
  r.Scalar("arrayoverlap", Lift<[](V a, V b) { return Overlap(a, b); }>);
  r.Scalar("array_to_text", ArrayToText);
  r.Scalar("array_to_text_null", ArrayToText);
  r.Scalar("text_to_array", TextToArray);
  r.Scalar("text_to_array_null", TextToArray);
  r.Scalar("trim_array", Lift<[](V bytes, int64_t n) -> absl::StatusOr<std::string> {
             ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(bytes));
             int64_t size = a.dims.empty() ? 0 : a.dims[0].size;
             if (n < 0 || n > size) return PgError("2202E", StrCat("number of elements to trim must be between 0 and ", size));
             if (n == size) {
               a.dims.clear();
               a.elements.clear();
             } else {
               size_t slice = a.elements.size() / static_cast<size_t>(size);
               a.elements.resize(a.elements.size() - slice * static_cast<size_t>(n));
               a.dims[0] = {static_cast<int32_t>(size - n), 1};
             }
             return a.Encode();
           }>);
  r.Scalar("oidvectortypes", Lift<[](V bytes) -> absl::StatusOr<std::string> {
             ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(bytes));
             std::string text;
             for (const Datum& e : a.elements) {
               StrAppend(&text, text.empty() ? "" : ", ", FormatType(static_cast<Oid>(e.int_value())));
             }
             return text;
           }>);
}

}  // namespace insula::sql::internal

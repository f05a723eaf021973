// Functions and operators of json and jsonb.
//
// Both are text in memory (json.h): each call parses what it looks at. A part taken out of a json value keeps its text.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/json_build.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/json.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using V = std::string_view;
using Kind = JsonValue::Kind;
using OptionalText = absl::StatusOr<std::optional<std::string>>;
using S = absl::StatusOr<std::string>;

absl::Status Invalid(V message) { return PgError(sqlstate::kInvalidParameterValue, message); }

std::string Print(const JsonValue& v, bool binary) {
  if (!binary && !v.raw.empty()) return std::string(v.raw);
  std::string out;
  AppendJson(v, binary, &out);
  return out;
}

// As ->> gives it: strings bare, null as NULL.
std::optional<std::string> AsText(const JsonValue& v, bool binary) {
  if (v.kind == Kind::kNull) return std::nullopt;
  if (v.kind == Kind::kString) return v.text;
  return Print(v, binary);
}

std::optional<std::string> Give(const JsonValue* v, bool as_text, bool binary) {
  if (v == nullptr) return std::nullopt;
  if (as_text) return AsText(*v, binary);
  return Print(*v, binary);
}

template <bool as_text, bool binary>
OptionalText Field(V json, V key) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  return Give(v.kind == Kind::kObject ? v.Member(key) : nullptr, as_text, binary);
}
template <bool as_text, bool binary>
OptionalText Element(V json, int64_t index) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  return Give(v.kind == Kind::kArray ? v.Element(index) : nullptr, as_text, binary);
}

bool ParseIndex(V text, int64_t* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

const JsonValue* Walk(const JsonValue& v, const std::vector<Datum>& path) {
  const JsonValue* at = &v;
  for (const Datum& step : path) {
    if (step.is_null()) return nullptr;
    int64_t index;
    if (at->kind == Kind::kObject) at = at->Member(step.bytes_value());
    else if (at->kind == Kind::kArray && ParseIndex(step.bytes_value(), &index)) at = at->Element(index);
    else return nullptr;
    if (at == nullptr) return nullptr;
  }
  return at;
}

template <bool as_text, bool binary>
OptionalText Path(V json, V path) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  ASSIGN_OR_RETURN(ArrayValue steps, ArrayValue::Decode(path));
  return Give(Walk(v, steps.elements), as_text, binary);
}

std::string_view TypeName(const JsonValue& v) {
  static constexpr std::string_view kNames[] = {"null", "string", "number", "boolean", "array", "object"};
  return kNames[static_cast<int>(v.kind)];
}

absl::StatusOr<int64_t> ArrayLength(V json) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  if (v.kind == Kind::kObject) return Invalid("cannot get array length of a non-array");
  if (v.kind != Kind::kArray) return Invalid("cannot get array length of a scalar");
  return static_cast<int64_t>(v.elements.size());
}

JsonValue StripNulls(JsonValue v) {
  v.raw = {};
  std::erase_if(v.members, [](const auto& m) { return m.second.kind == Kind::kNull; });
  for (auto& m : v.members) m.second = StripNulls(std::move(m.second));
  for (auto& e : v.elements) e = StripNulls(std::move(e));
  return v;
}

bool HasKey(const JsonValue& v, V key) {
  if (v.kind == Kind::kObject) return v.Member(key) != nullptr;
  if (v.kind == Kind::kString) return v.text == key;
  return v.kind == Kind::kArray && std::any_of(v.elements.begin(), v.elements.end(), [&](const JsonValue& e) {
           return e.kind == Kind::kString && e.text == key;
         });
}

template <bool all>
absl::StatusOr<bool> HasKeys(V json, V keys) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(keys));
  for (const Datum& key : array.elements) {
    if (key.is_null()) continue;
    if (HasKey(v, key.bytes_value()) != all) return !all;
  }
  return all;
}

S Concat(V left, V right) {
  ASSIGN_OR_RETURN(JsonValue a, ParseJson(left));
  ASSIGN_OR_RETURN(JsonValue b, ParseJson(right));
  if (a.kind == Kind::kObject && b.kind == Kind::kObject) {
    for (auto& m : b.members) a.members.push_back(std::move(m));
    NormalizeJson(&a);
    return Print(a, true);
  }
  auto as_array = [](JsonValue v) {
    if (v.kind == Kind::kArray) return v;
    JsonValue array;
    array.kind = Kind::kArray;
    array.elements.push_back(std::move(v));
    return array;
  };
  JsonValue out = as_array(std::move(a));
  for (auto& e : as_array(std::move(b)).elements) out.elements.push_back(std::move(e));
  return Print(out, true);
}

S DeleteKeys(V json, const std::vector<Datum>& keys) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  if (v.kind < Kind::kArray) return Invalid("cannot delete from scalar");
  for (const Datum& key : keys) {
    if (key.is_null()) continue;
    std::erase_if(v.members, [&](const auto& m) { return m.first == key.bytes_value(); });
    std::erase_if(v.elements, [&](const JsonValue& e) { return e.kind == Kind::kString && e.text == key.bytes_value(); });
  }
  return Print(v, true);
}

S DeleteIndex(V json, int64_t index) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  if (v.kind == Kind::kObject) return Invalid("cannot delete from object using integer index");
  if (v.kind != Kind::kArray) return Invalid("cannot delete from scalar");
  if (index < 0) index += static_cast<int64_t>(v.elements.size());
  if (index >= 0 && index < static_cast<int64_t>(v.elements.size())) v.elements.erase(v.elements.begin() + index);
  return Print(v, true);
}

// jsonb_set, jsonb_insert, #-: what happens at the end of the path.
enum class Edit { kSet, kInsertBefore, kInsertAfter, kDelete };

absl::Status EditAt(JsonValue* v, const std::vector<Datum>& path, size_t depth, Edit edit, bool create, const JsonValue& with) {
  if (path[depth].is_null()) return PgError("22004", StrCat("path element at position ", depth + 1, " is null"));
  const std::string& step = path[depth].bytes_value();
  bool last = depth + 1 == path.size();
  if (v->kind == Kind::kObject) {
    for (auto& m : v->members) {
      if (m.first != step) continue;
      if (!last) return EditAt(&m.second, path, depth + 1, edit, create, with);
      if (edit == Edit::kSet) m.second = with;
      else if (edit == Edit::kDelete) std::erase_if(v->members, [&](const auto& x) { return x.first == step; });
      else return PgErrorBuilder(sqlstate::kInvalidParameterValue, "cannot replace existing key").Hint("Try using the function jsonb_set to replace key value.").Build();
      return absl::OkStatus();
    }
    if (last && create && edit != Edit::kDelete) v->members.push_back({step, with});
    return absl::OkStatus();
  }
  if (v->kind != Kind::kArray) return absl::OkStatus();
  int64_t index, size = static_cast<int64_t>(v->elements.size());
  if (!ParseIndex(step, &index)) {
    return PgError(sqlstate::kInvalidTextRepresentation,
                   StrCat("path element at position ", depth + 1, " is not an integer: \"", step, "\""));
  }
  bool before_start = index < -size;
  if (index < 0) index = before_start ? 0 : index + size;
  bool inside = !before_start && index < size;
  if (!last) return inside ? EditAt(&v->elements[static_cast<size_t>(index)], path, depth + 1, edit, create, with) : absl::OkStatus();
  if (edit == Edit::kDelete) {
    if (inside) v->elements.erase(v->elements.begin() + index);
  } else if (edit == Edit::kSet && inside) {
    v->elements[static_cast<size_t>(index)] = with;
  } else if (edit != Edit::kSet || create) {
    int64_t at = inside && edit == Edit::kInsertAfter ? index + 1 : std::min(index, size);
    v->elements.insert(v->elements.begin() + at, with);
  }
  return absl::OkStatus();
}

S EditPath(V json, V path, Edit edit, bool create, const JsonValue& with) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(json));
  ASSIGN_OR_RETURN(ArrayValue steps, ArrayValue::Decode(path));
  if (v.kind < Kind::kArray) return Invalid(edit == Edit::kDelete ? "cannot delete path in scalar" : "cannot set path in scalar");
  if (!steps.elements.empty()) RETURN_IF_ERROR(EditAt(&v, steps.elements, 0, edit, create, with));
  NormalizeJson(&v);
  return Print(v, true);
}

// ---- building

template <bool binary>
S Finish(std::string text) {
  if (!binary) return text;
  return NormalizeJsonText(text);
}

template <bool binary>
absl::Status ToJson(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  bool pretty_arg = args.size() > 1;
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    std::string text;
    RETURN_IF_ERROR(AppendValueAsJson(ctx.io, args[0]->type().oid, args[0]->Get(i), pretty_arg && args[1]->bools()[i], &text));
    ASSIGN_OR_RETURN(text, Finish<binary>(std::move(text)));
    out->SetBytes(i, text);
  }
  return absl::OkStatus();
}

template <bool binary>
absl::Status BuildArray(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    std::string text = "[";
    for (size_t a = 0; a < args.size(); ++a) {
      if (a > 0) text.append(", ");
      RETURN_IF_ERROR(AppendValueAsJson(ctx.io, args[a]->type().oid, args[a]->Get(i), false, &text));
    }
    ASSIGN_OR_RETURN(text, Finish<binary>(text + "]"));
    out->SetBytes(i, text);
  }
  return absl::OkStatus();
}

template <bool binary>
absl::Status BuildObject(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  if (args.size() % 2 != 0) {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, "argument list must have even number of elements")
        .Hint(binary ? "The arguments of jsonb_build_object() must consist of alternating keys and values."
                     : "The arguments of json_build_object() must consist of alternating keys and values.")
        .Build();
  }
  for (size_t i = 0; i < rows; ++i) {
    std::string text = "{";
    for (size_t a = 0; a < args.size(); a += 2) {
      if (args[a]->IsNull(i)) {
        return Invalid(binary ? StrCat("argument ", a + 1, ": key must not be null") : StrCat("argument ", a + 1, " cannot be null"));
      }
      if (a > 0) text.append(", ");
      std::string key;
      TextOutAppend(ctx.io, *args[a], i, &key);
      AppendJsonString(key, &text);
      text.append(" : ");
      RETURN_IF_ERROR(AppendValueAsJson(ctx.io, args[a + 1]->type().oid, args[a + 1]->Get(i), false, &text));
    }
    ASSIGN_OR_RETURN(text, Finish<binary>(text + "}"));
    out->SetBytes(i, text);
  }
  return absl::OkStatus();
}

// json_object(text[]): pairs in one array, or keys and values in two.
template <bool binary>
S ObjectOf(V keys_bytes, std::optional<V> values_bytes) {
  ASSIGN_OR_RETURN(ArrayValue keys, ArrayValue::Decode(keys_bytes));
  std::vector<Datum> names, values;
  if (values_bytes) {
    ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(*values_bytes));
    names = std::move(keys.elements);
    values = std::move(array.elements);
    if (names.size() != values.size()) return PgError("2202E", "mismatched array dimensions");
  } else {
    if (keys.elements.size() % 2 != 0) return PgError("2202E", "array must have even number of elements");
    for (size_t i = 0; i < keys.elements.size(); i += 2) {
      names.push_back(keys.elements[i]);
      values.push_back(keys.elements[i + 1]);
    }
  }
  std::string text = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].is_null()) return PgError("22004", "null value not allowed for object key");
    if (i > 0) text.append(", ");
    AppendJsonString(names[i].bytes_value(), &text);
    text.append(" : ");
    if (values[i].is_null()) text.append("null");
    else AppendJsonString(values[i].bytes_value(), &text);
  }
  return Finish<binary>(text + "}");
}

// ---- set-returning: all rows are computed when the cursor opens

class RowsCursor : public SetCursor {
 public:
  explicit RowsCursor(std::vector<std::vector<Datum>> rows) : rows_(std::move(rows)) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    for (; max_rows > 0 && next_ < rows_.size(); --max_rows, ++next_) out->AppendRow(rows_[next_]);
    return absl::OkStatus();
  }

 private:
  std::vector<std::vector<Datum>> rows_;
  size_t next_ = 0;
};
using Cursor = absl::StatusOr<std::unique_ptr<SetCursor>>;

Datum ToDatum(std::optional<std::string> v) { return v ? Datum::Bytes(*std::move(v)) : Datum(); }

template <bool as_text, bool binary>
Cursor OpenElements(FunctionContext&, const SetCall& call) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(call.args[0].bytes_value()));
  if (v.kind != Kind::kArray) {
    bool object = v.kind == Kind::kObject;
    if (binary) return Invalid(object ? "cannot extract elements from an object" : "cannot extract elements from a scalar");
    return Invalid(StrCat("cannot call json_array_elements", as_text ? "_text" : "", object ? " on a non-array" : " on a scalar"));
  }
  std::vector<std::vector<Datum>> rows;
  for (const JsonValue& e : v.elements) rows.push_back({ToDatum(Give(&e, as_text, binary))});
  return std::make_unique<RowsCursor>(std::move(rows));
}

template <bool as_text, bool binary>
Cursor OpenEach(FunctionContext&, const SetCall& call) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(call.args[0].bytes_value()));
  if (v.kind != Kind::kObject) {
    return Invalid(binary ? StrCat("cannot call jsonb_each", as_text ? "_text" : "", " on a non-object")
                          : std::string(v.kind == Kind::kArray ? "cannot deconstruct an array as an object" : "cannot deconstruct a scalar"));
  }
  std::vector<std::vector<Datum>> rows;
  for (const auto& m : v.members) rows.push_back({Datum::Bytes(m.first), ToDatum(Give(&m.second, as_text, binary))});
  return std::make_unique<RowsCursor>(std::move(rows));
}

Cursor OpenKeys(FunctionContext&, const SetCall& call) {
  ASSIGN_OR_RETURN(JsonValue v, ParseJson(call.args[0].bytes_value()));
  std::string function = call.arg_types[0].oid == oid::kJsonb ? "jsonb_object_keys" : "json_object_keys";
  if (v.kind == Kind::kArray) return Invalid(StrCat("cannot call ", function, " on an array"));
  if (v.kind != Kind::kObject) return Invalid(StrCat("cannot call ", function, " on a scalar"));
  std::vector<std::vector<Datum>> rows;
  for (const auto& m : v.members) rows.push_back({Datum::Bytes(m.first)});
  return std::make_unique<RowsCursor>(std::move(rows));
}

template <bool binary>
void RegisterBoth(Registrar& r, V p) {
  r.Scalar(StrCat(p, "_object_field"), Lift<[](V j, V k) { return Field<false, binary>(j, k); }>);
  r.Scalar(StrCat(p, "_object_field_text"), Lift<[](V j, V k) { return Field<true, binary>(j, k); }>);
  r.Scalar(StrCat(p, "_array_element"), Lift<[](V j, int64_t i) { return Element<false, binary>(j, i); }>);
  r.Scalar(StrCat(p, "_array_element_text"), Lift<[](V j, int64_t i) { return Element<true, binary>(j, i); }>);
  r.Scalar(StrCat(p, "_extract_path"), Lift<[](V j, V path) { return Path<false, binary>(j, path); }>);
  r.Scalar(StrCat(p, "_extract_path_text"), Lift<[](V j, V path) { return Path<true, binary>(j, path); }>);
  r.Scalar(StrCat(p, "_array_length"), Lift<[](V j) { return ArrayLength(j); }>);
  r.Scalar(StrCat(p, "_typeof"), Lift<[](V j) -> S {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(j));
             return std::string(TypeName(v));
           }>);
  r.Scalar(StrCat(p, "_strip_nulls"), Lift<[](V j) -> S {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(j));
             return Print(StripNulls(std::move(v)), binary);
           }>);
  r.Scalar(StrCat(p, "_build_array"), BuildArray<binary>);
  r.Scalar(StrCat(p, "_build_array_noargs"), BuildArray<binary>);
  r.Scalar(StrCat(p, "_build_object"), BuildObject<binary>);
  r.Scalar(StrCat(p, "_build_object_noargs"), BuildObject<binary>);
  r.Scalar(StrCat(p, "_object"), Lift<[](V pairs) { return ObjectOf<binary>(pairs, std::nullopt); }>);
  r.Scalar(StrCat(p, "_object_two_arg"), Lift<[](V keys, V values) { return ObjectOf<binary>(keys, values); }>);
  r.Scalar(StrCat("to_", p), ToJson<binary>);
  r.Set(StrCat(p, "_array_elements"), OpenElements<false, binary>);
  r.Set(StrCat(p, "_array_elements_text"), OpenElements<true, binary>);
  r.Set(StrCat(p, "_each"), OpenEach<false, binary>);
  r.Set(StrCat(p, "_each_text"), OpenEach<true, binary>);
  r.Set(StrCat(p, "_object_keys"), OpenKeys);
}

}  // namespace

void RegisterJsonFunctions(Registrar& r) {
  RegisterBoth<false>(r, "json");
  RegisterBoth<true>(r, "jsonb");
  for (V source : {"array_to_json", "array_to_json_pretty", "row_to_json", "row_to_json_pretty"}) r.Scalar(source, ToJson<false>);
  r.Scalar("jsonb_contains", Lift<[](V a, V b) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(JsonValue x, ParseJson(a));
             ASSIGN_OR_RETURN(JsonValue y, ParseJson(b));
             // An array contains a bare scalar, at the top only.
             if (x.kind == Kind::kArray && y.kind < Kind::kArray) {
               return std::any_of(x.elements.begin(), x.elements.end(), [&](const JsonValue& e) { return CompareJson(e, y) == 0; });
             }
             return JsonContains(x, y);
           }>);
  r.Scalar("jsonb_contained", Lift<[](V a, V b) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(JsonValue x, ParseJson(b));
             ASSIGN_OR_RETURN(JsonValue y, ParseJson(a));
             if (x.kind == Kind::kArray && y.kind < Kind::kArray) {
               return std::any_of(x.elements.begin(), x.elements.end(), [&](const JsonValue& e) { return CompareJson(e, y) == 0; });
             }
             return JsonContains(x, y);
           }>);
  r.Scalar("jsonb_exists", Lift<[](V j, V key) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(j));
             return HasKey(v, key);
           }>);
  r.Scalar("jsonb_exists_all", Lift<[](V j, V keys) { return HasKeys<true>(j, keys); }>);
  r.Scalar("jsonb_exists_any", Lift<[](V j, V keys) { return HasKeys<false>(j, keys); }>);
  r.Scalar("jsonb_concat", Lift<[](V a, V b) { return Concat(a, b); }>);
  r.Scalar("jsonb_delete", Lift<[](V j, V key) { return DeleteKeys(j, {Datum::Bytes(key)}); }>);
  r.Scalar("jsonb_delete_array", Lift<[](V j, V keys) -> S {
             ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(keys));
             return DeleteKeys(j, array.elements);
           }>);
  r.Scalar("jsonb_delete_idx", Lift<[](V j, int64_t i) { return DeleteIndex(j, i); }>);
  r.Scalar("jsonb_delete_path", Lift<[](V j, V path) { return EditPath(j, path, Edit::kDelete, false, JsonValue()); }>);
  r.Scalar("jsonb_set", Lift<[](V j, V path, V with, bool create) -> S {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(with));
             return EditPath(j, path, Edit::kSet, create, v);
           }>);
  r.Scalar("jsonb_insert", Lift<[](V j, V path, V with, bool after) -> S {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(with));
             return EditPath(j, path, after ? Edit::kInsertAfter : Edit::kInsertBefore, true, v);
           }>);
  r.Scalar("jsonb_pretty", Lift<[](V j) -> S {
             ASSIGN_OR_RETURN(JsonValue v, ParseJson(j));
             std::string out;
             AppendJsonPretty(v, 0, &out);
             return out;
           }>);
}

}  // namespace insula::sql::internal

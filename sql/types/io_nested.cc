// Text forms of arrays, int2vector and oidvector, and records.
//
//   {1,NULL,"a b"}   {{1,2},{3,4}}   [0:1]={a,b}   (1,"x, y",)
#include <charconv>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/io.h"
#include "sql/types/io_internal.h"

namespace insula::sql::internal {
namespace {

constexpr int kMaxDimensions = 6;

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class ArrayParser {
 public:
  ArrayParser(const IoContext& io, SqlType element, std::string_view text) : io_(io), element_(element), text_(text), rest_(text) {}

  absl::StatusOr<ArrayValue> Parse() {
    ArrayValue out;
    out.element = element_.oid;
    Skip();
    std::vector<ArrayDimension> explicit_dims;
    RETURN_IF_ERROR(ExplicitDimensions(&explicit_dims));
    if (rest_.empty() || rest_[0] != '{') {
      return Malformed(explicit_dims.empty() ? "Array value must start with \"{\" or dimension information."
                                             : "Array contents must start with \"{\".");
    }
    RETURN_IF_ERROR(Level(0, &out));
    Skip();
    if (!rest_.empty()) return Malformed("Junk after closing right brace.");
    if (out.elements.empty()) {
      out.dims.clear();
      return out;
    }
    for (int32_t size : sizes_) out.dims.push_back({size, 1});
    if (!explicit_dims.empty()) {
      bool match = explicit_dims.size() == out.dims.size();
      for (size_t i = 0; match && i < explicit_dims.size(); ++i) match = explicit_dims[i].size == out.dims[i].size;
      if (!match) return Malformed("Specified array dimensions do not match array contents.");
      out.dims = explicit_dims;
    }
    return out;
  }

 private:
  absl::Status Malformed(std::string_view detail) const {
    return PgErrorBuilder(sqlstate::kInvalidTextRepresentation, StrCat("malformed array literal: \"", text_, "\""))
        .Detail(detail)
        .Build();
  }
  void Skip() {
    while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
  }

  // [l:u]…=
  absl::Status ExplicitDimensions(std::vector<ArrayDimension>* dims) {
    while (!rest_.empty() && rest_[0] == '[') {
      if (dims->size() >= kMaxDimensions) return TooMany(static_cast<int>(dims->size()) + 1);
      rest_.remove_prefix(1);
      int32_t lower = 1, upper;
      if (!Integer(&upper)) return Malformed("\"[\" must introduce explicitly-specified array dimensions.");
      if (!rest_.empty() && rest_[0] == ':') {
        rest_.remove_prefix(1);
        lower = upper;
        if (!Integer(&upper)) return Malformed("Missing array dimension value.");
      }
      if (rest_.empty() || rest_[0] != ']') return Malformed("Missing \"]\" after array dimensions.");
      rest_.remove_prefix(1);
      if (upper < lower) return PgError("2202E", "upper bound cannot be less than lower bound");
      dims->push_back({upper - lower + 1, lower});
      Skip();
    }
    if (dims->empty()) return absl::OkStatus();
    if (rest_.empty() || rest_[0] != '=') return Malformed("Missing \"=\" after array dimensions.");
    rest_.remove_prefix(1);
    Skip();
    return absl::OkStatus();
  }
  bool Integer(int32_t* v) {
    if (!rest_.empty() && rest_[0] == '+') rest_.remove_prefix(1);
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *v);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }
  static absl::Status TooMany(int n) {
    return PgError(sqlstate::kProgramLimitExceeded,
                   StrCat("number of array dimensions (", n, ") exceeds the maximum allowed (", kMaxDimensions, ")"));
  }
  absl::Status SubArrayMismatch() const {
    return Malformed("Multidimensional arrays must have sub-arrays with matching dimensions.");
  }

  // One brace pair; rest_ begins with '{'.
  absl::Status Level(int depth, ArrayValue* out) {
    if (depth >= kMaxDimensions) return TooMany(depth + 1);
    rest_.remove_prefix(1);
    int32_t count = 0;
    bool expect_item = false;
    while (true) {
      Skip();
      if (rest_.empty()) return Malformed("Unexpected end of input.");
      if (rest_[0] == '}') {
        if (expect_item) return Malformed("Unexpected \"}\" character.");
        rest_.remove_prefix(1);
        break;
      }
      if (count > 0 && !expect_item) {
        if (rest_[0] != ',') return Malformed("Unexpected array element.");
        rest_.remove_prefix(1);
        expect_item = true;
        continue;
      }
      if (rest_[0] == ',') return Malformed("Unexpected \",\" character.");
      if (rest_[0] == '{') {
        if (leaf_depth_ >= 0 && depth >= leaf_depth_) return SubArrayMismatch();
        RETURN_IF_ERROR(Level(depth + 1, out));
      } else {
        if (leaf_depth_ < 0) leaf_depth_ = depth;
        if (depth != leaf_depth_) return SubArrayMismatch();
        RETURN_IF_ERROR(Item(out));
      }
      ++count;
      expect_item = false;
    }
    if (count == 0 && depth == 0) return absl::OkStatus();
    if (static_cast<size_t>(depth) >= sizes_.size()) sizes_.resize(static_cast<size_t>(depth) + 1, -1);
    int32_t& size = sizes_[static_cast<size_t>(depth)];
    if (size >= 0 && size != count) return SubArrayMismatch();
    size = count;
    return absl::OkStatus();
  }

  absl::Status Item(ArrayValue* out) {
    std::string item;
    bool quoted = false;
    if (rest_[0] == '"') {
      quoted = true;
      rest_.remove_prefix(1);
      while (true) {
        if (rest_.empty()) return Malformed("Unexpected end of input.");
        char c = rest_[0];
        rest_.remove_prefix(1);
        if (c == '"') break;
        if (c == '\\') {
          if (rest_.empty()) return Malformed("Unexpected end of input.");
          c = rest_[0];
          rest_.remove_prefix(1);
        }
        item.push_back(c);
      }
      Skip();
      if (!rest_.empty() && rest_[0] != ',' && rest_[0] != '}') return Malformed("Unexpected array element.");
    } else {
      size_t significant = 0;  // up to the last character that is not a trailing blank
      while (!rest_.empty() && rest_[0] != ',' && rest_[0] != '}') {
        char c = rest_[0];
        rest_.remove_prefix(1);
        if (c == '{' || c == '"') {
          return Malformed(StrCat("Unexpected ", c == '"' ? "array element" : "\"{\" character", "."));
        }
        bool escaped = c == '\\';
        if (escaped) {
          if (rest_.empty()) return Malformed("Unexpected end of input.");
          c = rest_[0];
          rest_.remove_prefix(1);
          quoted = true;  // an escaped NULL is text
        }
        item.push_back(c);
        if (escaped || !IsSpace(c)) significant = item.size();
      }
      item.resize(significant);
    }
    if (!quoted && io_.array_nulls && AsciiLower(item) == "null") {
      out->elements.emplace_back();
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(Datum v, TextIn(io_, element_, item));
    out->elements.push_back(std::move(v));
    return absl::OkStatus();
  }

  const IoContext& io_;
  SqlType element_;
  std::string_view text_, rest_;
  std::vector<int32_t> sizes_;
  int leaf_depth_ = -1;
};

absl::StatusOr<Datum> VectorIn(const IoContext& io, Oid type, std::string_view text) {
  Oid element = ElementTypeOf(type);
  std::vector<int64_t> values;
  while (true) {
    while (!text.empty() && IsSpace(text[0])) text.remove_prefix(1);
    if (text.empty()) break;
    size_t n = 0;
    while (n < text.size() && !IsSpace(text[n])) ++n;
    ASSIGN_OR_RETURN(Datum v, TextIn(io, SqlType{element}, text.substr(0, n)));
    values.push_back(v.int_value());
    text.remove_prefix(n);
  }
  return Datum::Bytes(EncodeVectorOf(element, values));
}

bool NeedsArrayQuotes(std::string_view s) {
  if (s.empty() || (s.size() == 4 && AsciiLower(s) == "null")) return true;
  for (char c : s) {
    if (c == '"' || c == '\\' || c == '{' || c == '}' || c == ',' || IsSpace(c)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Datum> ArrayIn(const IoContext& io, SqlType type, std::string_view text) {
  if (type.oid == oid::kInt2Vector || type.oid == oid::kOidVector) return VectorIn(io, type.oid, text);
  ASSIGN_OR_RETURN(ArrayValue array, ArrayParser(io, SqlType{ElementTypeOf(type.oid), type.typmod}, text).Parse());
  return array.ToDatum();
}

void ArrayOut(const IoContext& io, Oid type, std::string_view bytes, std::string* out) {
  ArrayReader reader(bytes);
  Oid element = reader.element();
  if (FindType(element) == nullptr) {
    out->append("{}");
    return;
  }
  PhysicalKind kind = KindOf(element);
  bool is_null;
  std::string_view payload;
  if (type == oid::kInt2Vector || type == oid::kOidVector) {
    bool first = true;
    while (reader.Next(&is_null, &payload)) {
      if (!first) out->push_back(' ');
      first = false;
      TextOutAppend(io, SqlType{element}, PayloadToDatum(kind, payload), out);
    }
    return;
  }
  const auto& dims = reader.dims();
  if (reader.count() == 0) {
    out->append("{}");
    return;
  }
  bool show_bounds = false;
  for (const ArrayDimension& d : dims) show_bounds |= d.lower != 1;
  if (show_bounds) {
    for (const ArrayDimension& d : dims) StrAppend(out, "[", d.lower, ":", d.lower + d.size - 1, "]");
    out->push_back('=');
  }
  std::string item;
  for (size_t i = 0; reader.Next(&is_null, &payload); ++i) {
    if (i > 0) {
      // Close and reopen the levels that end here.
      size_t closed = 0, span = 1;
      for (size_t d = dims.size(); d-- > 1;) {
        span *= static_cast<size_t>(dims[d].size);
        if (i % span == 0) ++closed;
      }
      out->append(closed, '}');
      out->push_back(',');
      out->append(closed, '{');
    } else {
      out->append(dims.size(), '{');
    }
    if (is_null) {
      out->append("NULL");
      continue;
    }
    item.clear();
    TextOutAppend(io, SqlType{element}, PayloadToDatum(kind, payload), &item);
    if (!NeedsArrayQuotes(item)) {
      out->append(item);
      continue;
    }
    out->push_back('"');
    for (char c : item) {
      if (c == '"' || c == '\\') out->push_back('\\');
      out->push_back(c);
    }
    out->push_back('"');
  }
  out->append(dims.size(), '}');
}

void RecordOut(const IoContext& io, std::string_view bytes, std::string* out) {
  auto record = RecordValue::Decode(bytes);
  CHECK_OK(record.status());
  out->push_back('(');
  for (size_t i = 0; i < record->fields.size(); ++i) {
    if (i > 0) out->push_back(',');
    if (record->fields[i].is_null()) continue;
    std::string item = TextOut(io, SqlType{record->types[i]}, record->fields[i]);
    bool quote = item.empty();
    for (char c : item) quote |= c == '"' || c == '\\' || c == '(' || c == ')' || c == ',' || IsSpace(c);
    if (!quote) {
      out->append(item);
      continue;
    }
    out->push_back('"');
    for (char c : item) {
      if (c == '"' || c == '\\') out->push_back(c);
      out->push_back(c);
    }
    out->push_back('"');
  }
  out->push_back(')');
}

}  // namespace insula::sql::internal

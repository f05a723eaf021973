// Functions of bit and bit varying, whose values lie in memory as text of 0 and 1.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"

namespace insula::sql::internal {
namespace {

using V = std::string_view;
using S = absl::StatusOr<std::string>;
using I = absl::StatusOr<int64_t>;

template <typename F>
S Combine(V a, V b, V verb, F f) {
  if (a.size() != b.size()) return PgError("22026", StrCat("cannot ", verb, " bit strings of different sizes"));
  std::string out(a);
  for (size_t i = 0; i < out.size(); ++i) out[i] = f(a[i] == '1', b[i] == '1') ? '1' : '0';
  return out;
}

std::string Shift(V v, int64_t n) {
  size_t by = static_cast<size_t>(std::min<int64_t>(n < 0 ? -n : n, static_cast<int64_t>(v.size())));
  std::string zeros(by, '0');
  return n >= 0 ? StrCat(v.substr(by), zeros) : StrCat(zeros, v.substr(0, v.size() - by));
}

S Substring(V v, int64_t start, std::optional<int64_t> length) {
  int64_t end = static_cast<int64_t>(v.size()) + 1;
  if (length) {
    if (*length < 0) return PgError("22011", "negative substring length not allowed");
    end = std::min(end, start + *length);
  }
  int64_t from = std::max<int64_t>(start, 1);
  return end <= from ? std::string() : std::string(v.substr(static_cast<size_t>(from - 1), static_cast<size_t>(end - from)));
}

S Overlay(V v, V with, int64_t start, int64_t length) {
  if (start <= 0) return PgError("22011", "negative substring length not allowed");
  ASSIGN_OR_RETURN(std::string before, Substring(v, 1, start - 1));
  ASSIGN_OR_RETURN(std::string after, Substring(v, start + length, std::nullopt));
  return StrCat(before, with, after);
}

absl::Status CheckIndex(V v, int64_t i) {
  if (i >= 0 && i < static_cast<int64_t>(v.size())) return absl::OkStatus();
  return PgError("2202E", StrCat("bit index ", i, " out of valid range (0..", static_cast<int64_t>(v.size()) - 1, ")"));
}

}  // namespace

void RegisterBitFunctions(Registrar& r) {
  r.Scalar("bit_and", Lift<[](V a, V b) { return Combine(a, b, "AND", [](bool x, bool y) { return x && y; }); }>);
  r.Scalar("bit_or", Lift<[](V a, V b) { return Combine(a, b, "OR", [](bool x, bool y) { return x || y; }); }>);
  r.Scalar("bitxor", Lift<[](V a, V b) { return Combine(a, b, "XOR", [](bool x, bool y) { return x != y; }); }>);
  r.Scalar("bitnot", Lift<[](V v) {
             std::string out(v);
             for (char& c : out) c = c == '1' ? '0' : '1';
             return out;
           }>);
  r.Scalar("bitcat", Lift<[](V a, V b) { return StrCat(a, b); }>);
  r.Scalar("bitshiftleft", Lift<[](V v, int64_t n) { return Shift(v, n); }>);
  r.Scalar("bitshiftright", Lift<[](V v, int64_t n) { return Shift(v, -n); }>);
  r.Scalar("bitsubstr", Lift<[](V v, int64_t from, int64_t n) { return Substring(v, from, n); }>);
  r.Scalar("bitsubstr_no_len", Lift<[](V v, int64_t from) { return Substring(v, from, std::nullopt); }>);
  r.Scalar("bitoverlay", Lift<[](V v, V with, int64_t from, int64_t n) { return Overlay(v, with, from, n); }>);
  r.Scalar("bitoverlay_no_len", Lift<[](V v, V with, int64_t from) {
             return Overlay(v, with, from, static_cast<int64_t>(with.size()));
           }>);
  r.Scalar("bitposition", Lift<[](V v, V what) -> int64_t {
             size_t at = v.find(what);
             return at == V::npos || v.empty() ? 0 : static_cast<int64_t>(at) + 1;
           }>);
  r.Scalar("bitgetbit", Lift<[](V v, int64_t i) -> I {
             RETURN_IF_ERROR(CheckIndex(v, i));
             return v[static_cast<size_t>(i)] == '1';
           }>);
  r.Scalar("bitsetbit", Lift<[](V v, int64_t i, int64_t bit) -> S {
             RETURN_IF_ERROR(CheckIndex(v, i));
             if (bit != 0 && bit != 1) return PgError(sqlstate::kInvalidParameterValue, "new bit must be 0 or 1");
             std::string out(v);
             out[static_cast<size_t>(i)] = bit ? '1' : '0';
             return out;
           }>);
  r.Scalar("bit_bit_count", Lift<[](V v) { return static_cast<int64_t>(std::count(v.begin(), v.end(), '1')); }>);
  r.Scalar("bitlength", Lift<[](V v) { return static_cast<int64_t>(v.size()); }>);
  r.ScalarFor("bit_length(bit)", Lift<[](V v) { return static_cast<int64_t>(v.size()); }>);
  r.Scalar("bitoctetlength", Lift<[](V v) { return (static_cast<int64_t>(v.size()) + 7) / 8; }>);
}

}  // namespace insula::sql::internal

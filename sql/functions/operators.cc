// Comparison, integer, float and boolean operators, and the functions behind them: the tight loops.
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/datetime.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;

absl::Status OutOfRange(std::string_view type) { return PgError(sqlstate::kNumericValueOutOfRange, StrCat(type, " out of range")); }
absl::Status DivisionByZero() { return PgError("22012", "division by zero"); }

// ---- comparison

enum class Op { kEq, kNe, kLt, kLe, kGt, kGe };

template <Op op, typename T>
bool Apply(const T& a, const T& b) {
  if constexpr (op == Op::kEq) return a == b;
  if constexpr (op == Op::kNe) return a != b;
  if constexpr (op == Op::kLt) return a < b;
  if constexpr (op == Op::kLe) return a <= b;
  if constexpr (op == Op::kGt) return a > b;
  if constexpr (op == Op::kGe) return a >= b;
}

template <Op op>
absl::Status CompareInts(FunctionContext&, Args args, size_t rows, Vector* out) {
  const int64_t *a = args[0]->ints(), *b = args[1]->ints();
  uint8_t* r = out->bools();
  for (size_t i = 0; i < rows; ++i) r[i] = Apply<op>(a[i], b[i]);
  return absl::OkStatus();
}

template <Op op>
absl::Status CompareBools(FunctionContext&, Args args, size_t rows, Vector* out) {
  const uint8_t *a = args[0]->bools(), *b = args[1]->bools();
  uint8_t* r = out->bools();
  for (size_t i = 0; i < rows; ++i) r[i] = Apply<op>(a[i] != 0, b[i] != 0);
  return absl::OkStatus();
}

template <Op op>
absl::Status CompareFloatVectors(FunctionContext&, Args args, size_t rows, Vector* out) {
  const double *a = args[0]->floats(), *b = args[1]->floats();
  uint8_t* r = out->bools();
  for (size_t i = 0; i < rows; ++i) r[i] = Apply<op>(CompareFloats(a[i], b[i]), 0);
  return absl::OkStatus();
}

template <Op op>
absl::Status CompareNumerics(FunctionContext&, Args args, size_t rows, Vector* out) {
  const Numeric *a = args[0]->numerics(), *b = args[1]->numerics();
  uint8_t* r = out->bools();
  for (size_t i = 0; i < rows; ++i) r[i] = Apply<op>(Numeric::Compare(a[i], b[i]), 0);
  return absl::OkStatus();
}

// Values of kBytes as `type` orders them; 0: as the first argument's own type.
template <Op op, Oid type>
absl::Status CompareByteStrings(FunctionContext&, Args args, size_t rows, Vector* out) {
  Oid t = type != 0 ? type : args[0]->type().oid;
  uint8_t* r = out->bools();
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    std::string_view a = args[0]->bytes(i), b = args[1]->bytes(i);
    if constexpr (op == Op::kEq) r[i] = BytesEqual(t, a, b);
    else if constexpr (op == Op::kNe) r[i] = !BytesEqual(t, a, b);
    else r[i] = Apply<op>(CompareBytes(t, a, b), 0);
  }
  return absl::OkStatus();
}

struct Six {
  ScalarEval eq, ne, lt, le, gt, ge;
};
#define INSULA_SIX(F) \
  Six { F<Op::kEq>, F<Op::kNe>, F<Op::kLt>, F<Op::kLe>, F<Op::kGt>, F<Op::kGe> }
template <Oid type>
Six ByteSix() {
  return {CompareByteStrings<Op::kEq, type>, CompareByteStrings<Op::kNe, type>, CompareByteStrings<Op::kLt, type>,
          CompareByteStrings<Op::kLe, type>, CompareByteStrings<Op::kGt, type>, CompareByteStrings<Op::kGe, type>};
}

void RegisterSix(Registrar& r, std::string_view prefix, const Six& f) {
  r.Scalar(StrCat(prefix, "eq"), f.eq);
  r.Scalar(StrCat(prefix, "ne"), f.ne);
  r.Scalar(StrCat(prefix, "lt"), f.lt);
  r.Scalar(StrCat(prefix, "le"), f.le);
  r.Scalar(StrCat(prefix, "gt"), f.gt);
  r.Scalar(StrCat(prefix, "ge"), f.ge);
}

// Days against µs: a date compares as its midnight, without overflowing.
__int128 WideDate(int64_t date) {
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateNegativeInfinity) return kTimestampNegativeInfinity;
  return static_cast<__int128>(date) * kUsPerDay;
}
__int128 WideTimestamp(const TimeZone& tz, int64_t local) {
  if (IsInfiniteTimestamp(local)) return local;
  return static_cast<__int128>(local) - tz.OffsetForLocal(local) * kUsPerSecond;
}

enum class Side { kDate, kTimestamp, kTimestamptz };
template <Side side>
__int128 Instant(const TimeZone& tz, int64_t v, bool zoned) {
  if constexpr (side == Side::kTimestamptz) return v;
  __int128 local = side == Side::kDate ? WideDate(v) : v;
  if (!zoned || local > kTimestampInfinity - 1 || local < kTimestampNegativeInfinity + 1) return local;
  return WideTimestamp(tz, static_cast<int64_t>(local));
}

template <Op op, Side a, Side b>
absl::Status CompareTimes(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  constexpr bool kZoned = a == Side::kTimestamptz || b == Side::kTimestamptz;
  const TimeZone& tz = *ctx.io.time_zone;
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    out->bools()[i] = Apply<op>(Instant<a>(tz, args[0]->ints()[i], kZoned), Instant<b>(tz, args[1]->ints()[i], kZoned));
  }
  return absl::OkStatus();
}

template <Side a, Side b>
void RegisterTimeSix(Registrar& r, std::string_view left, std::string_view right) {
  auto name = [&](std::string_view op) { return StrCat(left, "_", op, "_", right); };
  r.Scalar(name("eq"), CompareTimes<Op::kEq, a, b>);
  r.Scalar(name("ne"), CompareTimes<Op::kNe, a, b>);
  r.Scalar(name("lt"), CompareTimes<Op::kLt, a, b>);
  r.Scalar(name("le"), CompareTimes<Op::kLe, a, b>);
  r.Scalar(name("gt"), CompareTimes<Op::kGt, a, b>);
  r.Scalar(name("ge"), CompareTimes<Op::kGe, a, b>);
}

void RegisterComparisons(Registrar& r) {
  Six ints = INSULA_SIX(CompareInts), floats = INSULA_SIX(CompareFloatVectors), bools = INSULA_SIX(CompareBools),
      numerics = INSULA_SIX(CompareNumerics);
  for (std::string_view p : {"int2", "int4", "int8", "int24", "int28", "int42", "int48", "int82", "int84", "oid", "date_", "time_",
                             "timestamp_", "xid8", "pg_lsn_", "tid"}) {
    RegisterSix(r, p, ints);
  }
  for (std::string_view p : {"xideq", "cideq"}) r.Scalar(p, ints.eq);
  r.Scalar("xidneq", ints.ne);
  for (std::string_view p : {"float4", "float8", "float48", "float84"}) RegisterSix(r, p, floats);
  RegisterSix(r, "bool", bools);
  RegisterSix(r, "numeric_", numerics);
  RegisterSix(r, "char", ByteSix<oid::kChar>());
  RegisterSix(r, "name", ByteSix<oid::kText>());
  RegisterSix(r, "bpchar", ByteSix<oid::kBpchar>());
  RegisterSix(r, "bytea", ByteSix<oid::kBytea>());
  RegisterSix(r, "uuid_", ByteSix<oid::kUuid>());
  RegisterSix(r, "interval_", ByteSix<oid::kInterval>());
  RegisterSix(r, "timetz_", ByteSix<oid::kTimetz>());
  RegisterSix(r, "jsonb_", ByteSix<oid::kJsonb>());
  RegisterSix(r, "array_", ByteSix<oid::kAnyArray>());
  RegisterSix(r, "oidvector", ByteSix<oid::kAnyArray>());
  RegisterSix(r, "record_", ByteSix<oid::kRecord>());
  RegisterSix(r, "bit", ByteSix<oid::kBit>());
  Six text = ByteSix<oid::kText>();
  r.Scalar("texteq", text.eq);
  r.Scalar("textne", text.ne);
  r.Scalar("text_lt", text.lt);
  r.Scalar("text_le", text.le);
  r.Scalar("text_gt", text.gt);
  r.Scalar("text_ge", text.ge);
  for (std::string_view pair : {"nameXXtext", "textXXname"}) {
    auto name = [&](std::string_view op) {
      return StrCat(pair.substr(0, 4), op, pair.substr(6));
    };
    r.Scalar(name("eq"), text.eq);
    r.Scalar(name("ne"), text.ne);
    r.Scalar(name("lt"), text.lt);
    r.Scalar(name("le"), text.le);
    r.Scalar(name("gt"), text.gt);
    r.Scalar(name("ge"), text.ge);
  }
  r.Scalar("text_pattern_lt", text.lt);
  r.Scalar("text_pattern_le", text.le);
  r.Scalar("text_pattern_gt", text.gt);
  r.Scalar("text_pattern_ge", text.ge);
  RegisterTimeSix<Side::kDate, Side::kTimestamp>(r, "date", "timestamp");
  RegisterTimeSix<Side::kDate, Side::kTimestamptz>(r, "date", "timestamptz");
  RegisterTimeSix<Side::kTimestamp, Side::kDate>(r, "timestamp", "date");
  RegisterTimeSix<Side::kTimestamp, Side::kTimestamptz>(r, "timestamp", "timestamptz");
  RegisterTimeSix<Side::kTimestamptz, Side::kDate>(r, "timestamptz", "date");
  RegisterTimeSix<Side::kTimestamptz, Side::kTimestamp>(r, "timestamptz", "timestamp");
}

// ---- integer arithmetic

struct Int2 {
  static constexpr int64_t kMin = INT16_MIN, kMax = INT16_MAX;
  static constexpr std::string_view kName = "smallint";
};
struct Int4 {
  static constexpr int64_t kMin = INT32_MIN, kMax = INT32_MAX;
  static constexpr std::string_view kName = "integer";
};
struct Int8 {
  static constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX;
  static constexpr std::string_view kName = "bigint";
};

enum class Arith { kAdd, kSub, kMul };

template <Arith op>
bool Overflowing(int64_t a, int64_t b, int64_t* r) {
  if constexpr (op == Arith::kAdd) return __builtin_add_overflow(a, b, r);
  if constexpr (op == Arith::kSub) return __builtin_sub_overflow(a, b, r);
  if constexpr (op == Arith::kMul) return __builtin_mul_overflow(a, b, r);
}

// Result type T. The loop notes an overflow anywhere; only then is each row looked at.
template <Arith op, typename T>
absl::Status IntArith(FunctionContext&, Args args, size_t rows, Vector* out) {
  const int64_t *a = args[0]->ints(), *b = args[1]->ints();
  int64_t* r = out->ints();
  bool bad = false;
  for (size_t i = 0; i < rows; ++i) {
    bool overflow = Overflowing<op>(a[i], b[i], &r[i]);
    bad |= overflow | (r[i] < T::kMin) | (r[i] > T::kMax);
  }
  if (!bad) return absl::OkStatus();
  for (size_t i = 0; i < rows; ++i) {
    int64_t v;
    if (!out->IsNull(i) && (Overflowing<op>(a[i], b[i], &v) || v < T::kMin || v > T::kMax)) return OutOfRange(T::kName);
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status IntDivide(FunctionContext&, Args args, size_t rows, Vector* out) {
  const int64_t *a = args[0]->ints(), *b = args[1]->ints();
  int64_t* r = out->ints();
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    if (b[i] == 0) return DivisionByZero();
    if (b[i] == -1) {
      if (a[i] == T::kMin) return OutOfRange(T::kName);
      r[i] = -a[i];
    } else {
      r[i] = a[i] / b[i];
    }
  }
  return absl::OkStatus();
}

absl::Status IntModulo(FunctionContext&, Args args, size_t rows, Vector* out) {
  const int64_t *a = args[0]->ints(), *b = args[1]->ints();
  int64_t* r = out->ints();
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    if (b[i] == 0) return DivisionByZero();
    r[i] = b[i] == -1 ? 0 : a[i] % b[i];
  }
  return absl::OkStatus();
}

template <typename T>
constexpr ScalarEval kNegate = Lift<[](int64_t v) -> absl::StatusOr<int64_t> {
  if (v == T::kMin) return OutOfRange(T::kName);
  return -v;
}>;
template <typename T>
constexpr ScalarEval kAbs = Lift<[](int64_t v) -> absl::StatusOr<int64_t> {
  if (v == T::kMin) return OutOfRange(T::kName);
  return v < 0 ? -v : v;
}>;
constexpr ScalarEval kIdentityInt = Lift<[](int64_t v) { return v; }>;

// Shifts and complements of a type of `bits` bits, sign-extended again.
template <int bits>
constexpr int64_t Wrap(uint64_t v) {
  if constexpr (bits == 16) return static_cast<int16_t>(v);
  if constexpr (bits == 32) return static_cast<int32_t>(v);
  return static_cast<int64_t>(v);
}
template <int bits>
void RegisterBits(Registrar& r, std::string_view type) {
  r.Scalar(StrCat(type, "and"), Lift<[](int64_t a, int64_t b) -> int64_t { return a & b; }>);
  r.Scalar(StrCat(type, "or"), Lift<[](int64_t a, int64_t b) -> int64_t { return a | b; }>);
  r.Scalar(StrCat(type, "xor"), Lift<[](int64_t a, int64_t b) -> int64_t { return a ^ b; }>);
  r.Scalar(StrCat(type, "not"), Lift<[](int64_t a) -> int64_t { return ~a; }>);
  r.Scalar(StrCat(type, "shl"), Lift<[](int64_t a, int64_t n) -> int64_t {
             return Wrap<bits>(static_cast<uint64_t>(a) << (n & (bits == 64 ? 63 : 31)));
           }>);
  r.Scalar(StrCat(type, "shr"), Lift<[](int64_t a, int64_t n) -> int64_t {
             return a >> (n & (bits == 64 ? 63 : 31));
           }>);
}

template <typename T>
void RegisterIntArith(Registrar& r, std::string_view prefix) {
  r.Scalar(StrCat(prefix, "pl"), IntArith<Arith::kAdd, T>);
  r.Scalar(StrCat(prefix, "mi"), IntArith<Arith::kSub, T>);
  r.Scalar(StrCat(prefix, "mul"), IntArith<Arith::kMul, T>);
  r.Scalar(StrCat(prefix, "div"), IntDivide<T>);
}

template <typename T>
void RegisterIntUnary(Registrar& r, std::string_view prefix) {
  r.Scalar(StrCat(prefix, "um"), kNegate<T>);
  r.Scalar(StrCat(prefix, "up"), kIdentityInt);
  r.Scalar(StrCat(prefix, "abs"), kAbs<T>);
  r.Scalar(StrCat(prefix, "mod"), IntModulo);
  r.Scalar(StrCat(prefix, "larger"), Lift<[](int64_t a, int64_t b) { return a > b ? a : b; }>);
  r.Scalar(StrCat(prefix, "smaller"), Lift<[](int64_t a, int64_t b) { return a < b ? a : b; }>);
}

// ---- floats

// Overflow and underflow are errors when they come from finite, non-zero operands; Float4 rounds first.
template <bool single>
absl::StatusOr<double> Checked(double v, bool inf_ok, bool zero_ok) {
  if constexpr (single) v = static_cast<double>(static_cast<float>(v));
  if (std::isinf(v) && !inf_ok) return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
  if (v == 0 && !zero_ok) return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: underflow");
  return v;
}

template <bool single>
void RegisterFloatArith(Registrar& r, std::string_view prefix) {
  r.Scalar(StrCat(prefix, "pl"), Lift<[](double a, double b) { return Checked<single>(a + b, std::isinf(a) || std::isinf(b), true); }>);
  r.Scalar(StrCat(prefix, "mi"), Lift<[](double a, double b) { return Checked<single>(a - b, std::isinf(a) || std::isinf(b), true); }>);
  r.Scalar(StrCat(prefix, "mul"), Lift<[](double a, double b) {
             return Checked<single>(a * b, std::isinf(a) || std::isinf(b), a == 0 || b == 0);
           }>);
  r.Scalar(StrCat(prefix, "div"), Lift<[](double a, double b) -> absl::StatusOr<double> {
             if (b == 0 && !std::isnan(a)) return DivisionByZero();
             return Checked<single>(a / b, std::isinf(a), a == 0 || std::isinf(b));
           }>);
}

void RegisterFloatUnary(Registrar& r, std::string_view prefix) {
  r.Scalar(StrCat(prefix, "um"), Lift<[](double v) { return -v; }>);
  r.Scalar(StrCat(prefix, "up"), Lift<[](double v) { return v; }>);
  r.Scalar(StrCat(prefix, "abs"), Lift<[](double v) { return std::fabs(v); }>);
  r.Scalar(StrCat(prefix, "larger"), Lift<[](double a, double b) { return CompareFloats(a, b) > 0 ? a : b; }>);
  r.Scalar(StrCat(prefix, "smaller"), Lift<[](double a, double b) { return CompareFloats(a, b) < 0 ? a : b; }>);
}

// B-tree support functions: -1, 0, 1.
template <Oid type>
absl::Status ThreeWay(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    out->ints()[i] = args[0]->kind() == PhysicalKind::kBytes ? CompareBytes(type, args[0]->bytes(i), args[1]->bytes(i))
                                                             : Vector::Compare(*args[0], i, *args[1], i);
  }
  return absl::OkStatus();
}

template <bool greater, Oid type>
absl::Status ChooseBytes(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    std::string_view a = args[0]->bytes(i), b = args[1]->bytes(i);
    int c = CompareBytes(type, a, b);
    out->SetBytes(i, (greater ? c > 0 : c < 0) ? a : b);
  }
  return absl::OkStatus();
}

}  // namespace

void RegisterOperators(Registrar& r) {
  RegisterComparisons(r);
  RegisterIntArith<Int2>(r, "int2");
  RegisterIntArith<Int4>(r, "int4");
  RegisterIntArith<Int8>(r, "int8");
  for (std::string_view p : {"int24", "int42"}) RegisterIntArith<Int4>(r, p);
  for (std::string_view p : {"int28", "int82", "int48", "int84"}) RegisterIntArith<Int8>(r, p);
  RegisterIntUnary<Int2>(r, "int2");
  RegisterIntUnary<Int4>(r, "int4");
  RegisterIntUnary<Int8>(r, "int8");
  RegisterBits<16>(r, "int2");
  RegisterBits<32>(r, "int4");
  RegisterBits<64>(r, "int8");
  RegisterFloatArith<true>(r, "float4");
  for (std::string_view p : {"float8", "float48", "float84"}) RegisterFloatArith<false>(r, p);
  RegisterFloatUnary(r, "float4");
  RegisterFloatUnary(r, "float8");
  for (std::string_view name : {"date_cmp", "time_cmp", "timestamp_cmp", "numeric_cmp", "pg_lsn_cmp", "xid8cmp"}) {
    r.Scalar(name, ThreeWay<0>);
  }
  r.Scalar("bpcharcmp", ThreeWay<oid::kBpchar>);
  r.Scalar("byteacmp", ThreeWay<oid::kBytea>);
  r.Scalar("uuid_cmp", ThreeWay<oid::kUuid>);
  r.Scalar("interval_cmp", ThreeWay<oid::kInterval>);
  r.Scalar("timetz_cmp", ThreeWay<oid::kTimetz>);
  r.Scalar("jsonb_cmp", ThreeWay<oid::kJsonb>);
  r.Scalar("bitcmp", ThreeWay<oid::kBit>);
  r.Scalar("timetz_larger", ChooseBytes<true, oid::kTimetz>);
  r.Scalar("timetz_smaller", ChooseBytes<false, oid::kTimetz>);
  for (std::string_view p : {"oid", "date_", "time_", "timestamp_", "tid", "pg_lsn_", "xid8_"}) {
    r.Scalar(StrCat(p, "larger"), Lift<[](int64_t a, int64_t b) { return a > b ? a : b; }>);
    r.Scalar(StrCat(p, "smaller"), Lift<[](int64_t a, int64_t b) { return a < b ? a : b; }>);
  }
  r.Scalar("text_larger", ChooseBytes<true, oid::kText>);
  r.Scalar("text_smaller", ChooseBytes<false, oid::kText>);
  r.Scalar("bpchar_larger", ChooseBytes<true, oid::kBpchar>);
  r.Scalar("bpchar_smaller", ChooseBytes<false, oid::kBpchar>);
  r.Scalar("interval_larger", ChooseBytes<true, oid::kInterval>);
  r.Scalar("interval_smaller", ChooseBytes<false, oid::kInterval>);
}

}  // namespace insula::sql::internal

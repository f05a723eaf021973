// count, sum, avg, min, max, bool_and, bool_or, every, bit_and, bit_or, bit_xor, string_agg, array_agg, json_agg and its kin.
//
// Each keeps a column of states, one per group (Aggregator in registry.h). Unless it says otherwise, rows with a NULL argument do
// not count, and a group without rows gives NULL.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/json_build.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using Made = absl::StatusOr<std::unique_ptr<Aggregator>>;

// States of one type; Derived has Step(state, args, row) and Result(state, out).
template <typename State, typename Derived>
class States : public Aggregator {
 public:
  void AddGroups(size_t n) override {
    if (n > states_.size()) states_.resize(n);
  }
  absl::Status Update(FunctionContext& ctx, Args args, size_t rows, const uint32_t* groups) override {
    Derived& self = static_cast<Derived&>(*this);
    for (size_t i = 0; i < rows; ++i) {
      uint32_t g = groups == nullptr ? 0 : groups[i];
      if (g == kSkipRow || (Derived::kSkipNulls && AnyNull(args, i))) continue;
      RETURN_IF_ERROR(self.Step(ctx, &states_[g], args, i));
    }
    return absl::OkStatus();
  }
  absl::Status Finalize(FunctionContext& ctx, size_t begin, size_t end, Vector* out) override {
    Derived& self = static_cast<Derived&>(*this);
    for (size_t g = begin; g < end; ++g) RETURN_IF_ERROR(self.Result(ctx, states_[g], out));
    return absl::OkStatus();
  }
  void Clear() override { states_.clear(); }
  size_t MemoryUsage() const override { return states_.capacity() * sizeof(State) + heap_bytes_; }
  static constexpr bool kSkipNulls = true;

 protected:
  static bool AnyNull(Args args, size_t i) {
    for (const Vector* a : args) {
      if (a->IsNull(i)) return true;
    }
    return false;
  }
  std::vector<State> states_;
  size_t heap_bytes_ = 0;  // what states hold besides themselves, where that matters
};

absl::Status BigintOutOfRange() { return PgError(sqlstate::kNumericValueOutOfRange, "bigint out of range"); }

// ---- count

class Count : public Aggregator {
 public:
  void AddGroups(size_t n) override {
    if (n > counts_.size()) counts_.resize(n);
  }
  absl::Status Update(FunctionContext&, Args args, size_t rows, const uint32_t* groups) override {
    const Vector* arg = args.empty() ? nullptr : args[0];
    bool nulls = arg != nullptr && arg->MayHaveNulls();
    if (groups == nullptr) {
      size_t n = rows;
      if (nulls) {
        for (size_t i = 0; i < rows; ++i) n -= arg->IsNull(i);
      }
      counts_[0] += static_cast<int64_t>(n);
      return absl::OkStatus();
    }
    for (size_t i = 0; i < rows; ++i) {
      if (groups[i] != kSkipRow && !(nulls && arg->IsNull(i))) ++counts_[groups[i]];
    }
    return absl::OkStatus();
  }
  absl::Status Finalize(FunctionContext&, size_t begin, size_t end, Vector* out) override {
    for (size_t g = begin; g < end; ++g) out->AppendInt(counts_[g]);
    return absl::OkStatus();
  }
  void Clear() override { counts_.clear(); }
  size_t MemoryUsage() const override { return counts_.capacity() * 8; }

 private:
  std::vector<int64_t> counts_;
};

// ---- sum and avg

struct WideSum {
  __int128 sum = 0;
  int64_t count = 0;
};

enum class Finish { kBigint, kNumeric, kAverage };

// Sums of integers. Within 2^64 rows a 128-bit sum cannot overflow.
template <Finish finish>
class IntSum : public Aggregator {
 public:
  void AddGroups(size_t n) override {
    if (n > states_.size()) states_.resize(n);
  }
  absl::Status Update(FunctionContext&, Args args, size_t rows, const uint32_t* groups) override {
    const Vector& arg = *args[0];
    const int64_t* v = arg.ints();
    if (groups == nullptr && !arg.MayHaveNulls()) {
      __int128 sum = 0;
      for (size_t i = 0; i < rows; ++i) sum += v[i];
      states_[0].sum += sum;
      states_[0].count += static_cast<int64_t>(rows);
      return absl::OkStatus();
    }
    for (size_t i = 0; i < rows; ++i) {
      uint32_t g = groups == nullptr ? 0 : groups[i];
      if (g == kSkipRow || arg.IsNull(i)) continue;
      states_[g].sum += v[i];
      ++states_[g].count;
    }
    return absl::OkStatus();
  }
  absl::Status Finalize(FunctionContext&, size_t begin, size_t end, Vector* out) override {
    for (size_t g = begin; g < end; ++g) {
      const WideSum& s = states_[g];
      if (s.count == 0) {
        out->AppendNull();
      } else if (finish == Finish::kBigint) {
        if (s.sum > INT64_MAX || s.sum < INT64_MIN) return BigintOutOfRange();
        out->AppendInt(static_cast<int64_t>(s.sum));
      } else if (finish == Finish::kNumeric) {
        out->AppendNumeric(Numeric::FromInt128(s.sum));
      } else {
        ASSIGN_OR_RETURN(Numeric avg, Numeric::Divide(Numeric::FromInt128(s.sum), Numeric(s.count)));
        out->AppendNumeric(std::move(avg));
      }
    }
    return absl::OkStatus();
  }
  void Clear() override { states_.clear(); }
  size_t MemoryUsage() const override { return states_.capacity() * sizeof(WideSum); }

 private:
  std::vector<WideSum> states_;
};

// A sum of numerics; while mantissas are small and of one scale, a 128-bit integer holds it.
struct DecimalSum {
  __int128 small = 0;
  int scale = 0;
  int64_t count = 0;
  Numeric rest;  // what did not fit
  bool has_rest = false;
};

template <bool average>
class NumericSum : public States<DecimalSum, NumericSum<average>> {
 public:
  absl::Status Step(FunctionContext&, DecimalSum* s, Args args, size_t i) {
    const Numeric& v = args[0]->numerics()[i];
    ++s->count;
    constexpr __int128 kRoom = static_cast<__int128>(1) << 120;
    if (v.kind() == Numeric::Kind::kSmall && s->small < kRoom && s->small > -kRoom) {
      if (s->count == 1) s->scale = v.scale();
      if (v.scale() == s->scale) {
        s->small += v.small_mantissa();
        return absl::OkStatus();
      }
    }
    ASSIGN_OR_RETURN(s->rest, Numeric::Add(s->rest, v));
    s->has_rest = true;
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const DecimalSum& s, Vector* out) {
    if (s.count == 0) {
      out->AppendNull();
      return absl::OkStatus();
    }
    Numeric sum = Numeric::FromInt128(s.small, s.scale);
    if (s.has_rest) {
      ASSIGN_OR_RETURN(sum, Numeric::Add(sum, s.rest));
    }
    if (average) {
      ASSIGN_OR_RETURN(sum, Numeric::Divide(sum, Numeric(s.count)));
    }
    out->AppendNumeric(std::move(sum));
    return absl::OkStatus();
  }
};

struct FloatState {
  double sum = 0;
  int64_t count = 0;
};

enum class FloatFinish { kSum8, kSum4, kAverage };
template <FloatFinish finish>
class FloatSum : public States<FloatState, FloatSum<finish>> {
 public:
  absl::Status Step(FunctionContext&, FloatState* s, Args args, size_t i) {
    double v = args[0]->floats()[i];
    double before = s->sum;
    s->sum = s->count++ == 0 ? v : s->sum + v;
    if constexpr (finish == FloatFinish::kSum4) s->sum = static_cast<double>(static_cast<float>(s->sum));
    if (s->sum - s->sum != 0 && s->sum == s->sum && before - before == 0 && v - v == 0) {
      return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
    }
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const FloatState& s, Vector* out) {
    if (s.count == 0) out->AppendNull();
    else out->AppendFloat(finish == FloatFinish::kAverage ? s.sum / static_cast<double>(s.count) : s.sum);
    return absl::OkStatus();
  }
};

struct IntervalState {
  Interval sum;
  int64_t count = 0;
};
template <bool average>
class IntervalSum : public States<IntervalState, IntervalSum<average>> {
 public:
  absl::Status Step(FunctionContext&, IntervalState* s, Args args, size_t i) {
    ASSIGN_OR_RETURN(s->sum, IntervalAdd(s->sum, DecodeInterval(args[0]->bytes(i))));
    ++s->count;
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const IntervalState& s, Vector* out) {
    if (s.count == 0) {
      out->AppendNull();
      return absl::OkStatus();
    }
    Interval v = s.sum;
    if (average) {
      ASSIGN_OR_RETURN(v, IntervalDivide(v, static_cast<double>(s.count)));
    }
    out->AppendBytes(EncodeInterval(v));
    return absl::OkStatus();
  }
};

// ---- min and max

struct IntExtreme {
  int64_t value = 0;
  bool any = false;
};
template <bool max>
class IntMinMax : public Aggregator {
 public:
  void AddGroups(size_t n) override {
    if (n > states_.size()) states_.resize(n);
  }
  absl::Status Update(FunctionContext&, Args args, size_t rows, const uint32_t* groups) override {
    const Vector& arg = *args[0];
    const int64_t* v = arg.ints();
    for (size_t i = 0; i < rows; ++i) {
      uint32_t g = groups == nullptr ? 0 : groups[i];
      if (g == kSkipRow || arg.IsNull(i)) continue;
      IntExtreme& s = states_[g];
      if (!s.any || (max ? v[i] > s.value : v[i] < s.value)) s = {v[i], true};
    }
    return absl::OkStatus();
  }
  absl::Status Finalize(FunctionContext&, size_t begin, size_t end, Vector* out) override {
    for (size_t g = begin; g < end; ++g) {
      if (states_[g].any) out->AppendInt(states_[g].value);
      else out->AppendNull();
    }
    return absl::OkStatus();
  }
  void Clear() override { states_.clear(); }
  size_t MemoryUsage() const override { return states_.capacity() * sizeof(IntExtreme); }

 private:
  std::vector<IntExtreme> states_;
};

// Any type: the best row so far lies in a vector of its own.
template <bool max>
class ValueMinMax : public States<Datum, ValueMinMax<max>> {
 public:
  explicit ValueMinMax(Oid type) : type_(type) {}
  absl::Status Step(FunctionContext&, Datum* s, Args args, size_t i) {
    const Vector& v = *args[0];
    if (!s->is_null()) {
      int c = v.kind() == PhysicalKind::kBytes ? CompareBytes(type_, v.bytes(i), s->bytes_value()) : CompareDatums(type_, v.Get(i), *s);
      if (max ? c <= 0 : c >= 0) return absl::OkStatus();
      if (v.kind() == PhysicalKind::kBytes) this->heap_bytes_ -= s->bytes_value().size();
    }
    *s = v.Get(i);
    if (v.kind() == PhysicalKind::kBytes) this->heap_bytes_ += s->bytes_value().size();
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const Datum& s, Vector* out) {
    out->Append(s);
    return absl::OkStatus();
  }

 private:
  Oid type_;
};

template <bool max>
Made MakeMinMax(const AggregateCall& call) {
  Oid type = call.arg_types[0].oid;
  if (KindOf(type) == PhysicalKind::kInt) return std::make_unique<IntMinMax<max>>();
  return std::make_unique<ValueMinMax<max>>(type);
}

// ---- booleans and bits

struct BoolState {
  bool value = false, any = false;
};
template <bool conjunction>
class BoolFold : public States<BoolState, BoolFold<conjunction>> {
 public:
  absl::Status Step(FunctionContext&, BoolState* s, Args args, size_t i) {
    bool v = args[0]->bools()[i] != 0;
    s->value = !s->any ? v : (conjunction ? s->value && v : s->value || v);
    s->any = true;
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const BoolState& s, Vector* out) {
    if (s.any) out->AppendBool(s.value);
    else out->AppendNull();
    return absl::OkStatus();
  }
};

enum class Bits { kAnd, kOr, kXor };
template <Bits op>
class BitFold : public States<IntExtreme, BitFold<op>> {
 public:
  absl::Status Step(FunctionContext&, IntExtreme* s, Args args, size_t i) {
    int64_t v = args[0]->ints()[i];
    if (!s->any) s->value = v;
    else s->value = op == Bits::kAnd ? s->value & v : (op == Bits::kOr ? s->value | v : s->value ^ v);
    s->any = true;
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const IntExtreme& s, Vector* out) {
    if (s.any) out->AppendInt(s.value);
    else out->AppendNull();
    return absl::OkStatus();
  }
};

// ---- collecting

struct TextState {
  std::string text;
  bool any = false;
};
// The delimiter of the first value is not used; a NULL delimiter is empty.
class StringAgg : public States<TextState, StringAgg> {
 public:
  static constexpr bool kSkipNulls = false;
  absl::Status Step(FunctionContext& ctx, TextState* s, Args args, size_t i) {
    if (args[0]->IsNull(i)) return absl::OkStatus();
    size_t before = s->text.size();
    if (s->any && !args[1]->IsNull(i)) s->text.append(args[1]->bytes(i));
    s->text.append(args[0]->bytes(i));
    s->any = true;
    heap_bytes_ += s->text.size() - before;
    if (s->text.size() > ctx.max_value_bytes) {
      return PgError(sqlstate::kProgramLimitExceeded, "string buffer exceeds maximum allowed length");
    }
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const TextState& s, Vector* out) {
    if (s.any) out->AppendBytes(s.text);
    else out->AppendNull();
    return absl::OkStatus();
  }
};

struct ListState {
  std::vector<Datum> values;
  std::vector<ArrayDimension> inner;  // of collected arrays
  int32_t arrays = 0;
};
// Also of NULLs. Arrays are stacked into one of a dimension more.
class ArrayAgg : public States<ListState, ArrayAgg> {
 public:
  static constexpr bool kSkipNulls = false;
  explicit ArrayAgg(Oid arg) : nested_(IsArray(arg)), element_(nested_ ? ElementTypeOf(arg) : arg) {}
  absl::Status Step(FunctionContext&, ListState* s, Args args, size_t i) {
    heap_bytes_ += sizeof(Datum) + (args[0]->kind() == PhysicalKind::kBytes && !args[0]->IsNull(i) ? args[0]->bytes(i).size() : 0);
    if (!nested_) {
      s->values.push_back(args[0]->Get(i));
      return absl::OkStatus();
    }
    if (args[0]->IsNull(i)) return PgError("22004", "cannot accumulate null arrays");
    ASSIGN_OR_RETURN(ArrayValue a, ArrayValue::Decode(args[0]->bytes(i)));
    if (a.dims.empty()) return PgError("2202E", "cannot accumulate empty arrays");
    if (s->arrays == 0) s->inner = a.dims;
    else if (s->inner != a.dims) return PgError("2202E", "cannot accumulate arrays of different dimensionality");
    ++s->arrays;
    for (Datum& e : a.elements) s->values.push_back(std::move(e));
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const ListState& s, Vector* out) {
    if (s.values.empty()) {
      out->AppendNull();
      return absl::OkStatus();
    }
    ArrayValue a = ArrayValue::Of(element_, s.values);
    if (nested_) {
      a.dims = {{s.arrays, 1}};
      a.dims.insert(a.dims.end(), s.inner.begin(), s.inner.end());
    }
    out->AppendBytes(a.Encode());
    return absl::OkStatus();
  }

 private:
  bool nested_;
  Oid element_;
};

// json_agg and json_object_agg; `binary` for jsonb. NULLs are collected, too.
template <bool binary, bool object>
class JsonAgg : public States<TextState, JsonAgg<binary, object>> {
 public:
  static constexpr bool kSkipNulls = false;
  explicit JsonAgg(const AggregateCall& call) {
    for (const SqlType& t : call.arg_types) types_.push_back(t.oid);
  }
  absl::Status Step(FunctionContext& ctx, TextState* s, Args args, size_t i) {
    size_t before = s->text.size();
    constexpr size_t kValue = object ? 1 : 0;
    // Of arrays and records each stands on a line of its own.
    bool wide = !object && (IsArray(types_[kValue]) || types_[kValue] == oid::kRecord);
    if (s->any) s->text.append(wide ? ", \n " : ", ");
    if (object) {
      if (args[0]->IsNull(i)) return PgError(sqlstate::kInvalidParameterValue, "field name must not be null");
      std::string key;
      TextOutAppend(ctx.io, *args[0], i, &key);
      AppendJsonString(key, &s->text);
      s->text.append(" : ");
    }
    RETURN_IF_ERROR(AppendValueAsJson(ctx.io, types_[kValue], args[kValue]->Get(i), false, &s->text));
    s->any = true;
    this->heap_bytes_ += s->text.size() - before;
    return absl::OkStatus();
  }
  absl::Status Result(FunctionContext&, const TextState& s, Vector* out) {
    if (!s.any) {
      out->AppendNull();
      return absl::OkStatus();
    }
    std::string text = object ? StrCat("{ ", s.text, " }") : StrCat("[", s.text, "]");
    if (binary) {
      ASSIGN_OR_RETURN(text, NormalizeJsonText(text));
    }
    out->AppendBytes(text);
    return absl::OkStatus();
  }

 private:
  std::vector<Oid> types_;
};

template <typename T>
Made Make(const AggregateCall&) {
  return std::make_unique<T>();
}
template <typename T>
Made MakeOf(const AggregateCall& call) {
  return std::make_unique<T>(call);
}

}  // namespace

void RegisterAggregates(Registrar& r) {
  r.Aggregate("count", Make<Count>);
  for (std::string_view type : {"int2", "int4", "int8"}) {
    r.AggregateFor(StrCat("sum(", type, ")"), type == "int8" ? Make<IntSum<Finish::kNumeric>> : Make<IntSum<Finish::kBigint>>);
    r.AggregateFor(StrCat("avg(", type, ")"), Make<IntSum<Finish::kAverage>>);
    r.AggregateFor(StrCat("bit_and(", type, ")"), Make<BitFold<Bits::kAnd>>);
    r.AggregateFor(StrCat("bit_or(", type, ")"), Make<BitFold<Bits::kOr>>);
    r.AggregateFor(StrCat("bit_xor(", type, ")"), Make<BitFold<Bits::kXor>>);
  }
  r.AggregateFor("sum(numeric)", Make<NumericSum<false>>);
  r.AggregateFor("avg(numeric)", Make<NumericSum<true>>);
  r.AggregateFor("sum(float4)", Make<FloatSum<FloatFinish::kSum4>>);
  r.AggregateFor("sum(float8)", Make<FloatSum<FloatFinish::kSum8>>);
  r.AggregateFor("avg(float4)", Make<FloatSum<FloatFinish::kAverage>>);
  r.AggregateFor("avg(float8)", Make<FloatSum<FloatFinish::kAverage>>);
  r.AggregateFor("sum(interval)", Make<IntervalSum<false>>);
  r.AggregateFor("avg(interval)", Make<IntervalSum<true>>);
  r.Aggregate("min", MakeMinMax<false>);
  r.Aggregate("max", MakeMinMax<true>);
  r.Aggregate("bool_and", Make<BoolFold<true>>);
  r.Aggregate("every", Make<BoolFold<true>>);
  r.Aggregate("bool_or", Make<BoolFold<false>>);
  r.Aggregate("string_agg", Make<StringAgg>);
  r.Aggregate("array_agg", [](const AggregateCall& call) -> Made { return std::make_unique<ArrayAgg>(call.arg_types[0].oid); });
  r.Aggregate("json_agg", MakeOf<JsonAgg<false, false>>);
  r.Aggregate("jsonb_agg", MakeOf<JsonAgg<true, false>>);
  r.Aggregate("json_object_agg", MakeOf<JsonAgg<false, true>>);
  r.Aggregate("jsonb_object_agg", MakeOf<JsonAgg<true, true>>);
}

}  // namespace insula::sql::internal

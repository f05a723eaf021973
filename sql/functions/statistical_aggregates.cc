// Variances, standard deviations, correlation and regression.
//
// Of integers and numerics they are exact: N × Σx² − (Σx)², divided once. Of floats they follow Youngs and Cramer (1971), as in
// PostgreSQL: sums that stay accurate when the mean is large against the deviation.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/registrar.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using Made = absl::StatusOr<std::unique_ptr<Aggregator>>;

enum class Spread { kVarPop, kVarSamp, kStddevPop, kStddevSamp };
constexpr bool IsSample(Spread s) { return s == Spread::kVarSamp || s == Spread::kStddevSamp; }
constexpr bool IsRoot(Spread s) { return s == Spread::kStddevPop || s == Spread::kStddevSamp; }

// Groups with a state each; Derived has Step(state, args, row) and Result(state, out).
template <typename State, typename Derived>
class Grouped : public Aggregator {
 public:
  void AddGroups(size_t n) override {
    if (n > states_.size()) states_.resize(n);
  }
  absl::Status Update(FunctionContext&, Args args, size_t rows, const uint32_t* groups) override {
    for (size_t i = 0; i < rows; ++i) {
      uint32_t g = groups == nullptr ? 0 : groups[i];
      bool skip = g == kSkipRow;
      for (const Vector* a : args) skip = skip || a->IsNull(i);
      if (!skip) RETURN_IF_ERROR(static_cast<Derived*>(this)->Step(&states_[g], args, i));
    }
    return absl::OkStatus();
  }
  absl::Status Finalize(FunctionContext&, size_t begin, size_t end, Vector* out) override {
    for (size_t g = begin; g < end; ++g) RETURN_IF_ERROR(static_cast<Derived*>(this)->Result(states_[g], out));
    return absl::OkStatus();
  }
  void Clear() override { states_.clear(); }
  size_t MemoryUsage() const override { return states_.capacity() * sizeof(State); }

 private:
  std::vector<State> states_;
};

struct ExactState {
  int64_t count = 0;
  Numeric sum, squares;
};

template <Spread spread>
class ExactSpread : public Grouped<ExactState, ExactSpread<spread>> {
 public:
  absl::Status Step(ExactState* s, Args args, size_t i) {
    Numeric v = args[0]->kind() == PhysicalKind::kInt ? Numeric(args[0]->ints()[i]) : args[0]->numerics()[i];
    ++s->count;
    ASSIGN_OR_RETURN(Numeric square, Numeric::Multiply(v, v));
    ASSIGN_OR_RETURN(s->sum, Numeric::Add(s->sum, v));
    ASSIGN_OR_RETURN(s->squares, Numeric::Add(s->squares, square));
    return absl::OkStatus();
  }
  absl::Status Result(const ExactState& s, Vector* out) {
    if (s.count < (IsSample(spread) ? 2 : 1)) {
      out->AppendNull();
      return absl::OkStatus();
    }
    if (!s.sum.IsFinite()) {
      out->AppendNumeric(Numeric::NaN());
      return absl::OkStatus();
    }
    Numeric n(s.count);
    ASSIGN_OR_RETURN(Numeric a, Numeric::Multiply(n, s.squares));
    ASSIGN_OR_RETURN(Numeric b, Numeric::Multiply(s.sum, s.sum));
    ASSIGN_OR_RETURN(Numeric numerator, Numeric::Subtract(a, b));
    if (numerator.Sign() <= 0) {
      out->AppendNumeric(Numeric());
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(Numeric denominator, Numeric::Multiply(n, Numeric(IsSample(spread) ? s.count - 1 : s.count)));
    int scale = Numeric::SelectDivScale(numerator, denominator);
    ASSIGN_OR_RETURN(Numeric variance, Numeric::DivideToScale(numerator, denominator, scale));
    if (IsRoot(spread)) {
      ASSIGN_OR_RETURN(variance, Numeric::SqrtToScale(variance, scale));
    }
    out->AppendNumeric(std::move(variance));
    return absl::OkStatus();
  }
};

struct FloatMoments {
  double n = 0, sx = 0, sxx = 0;
};

template <Spread spread>
class FloatSpread : public Grouped<FloatMoments, FloatSpread<spread>> {
 public:
  absl::Status Step(FloatMoments* s, Args args, size_t i) {
    double v = args[0]->floats()[i];
    s->n += 1;
    s->sx += v;
    if (s->n > 1) {
      double t = v * s->n - s->sx;
      s->sxx += t * t / (s->n * (s->n - 1));
    } else if (!std::isfinite(v)) {
      s->sxx = std::numeric_limits<double>::quiet_NaN();
    }
    if (std::isinf(s->sxx)) s->sxx = std::numeric_limits<double>::quiet_NaN();
    return absl::OkStatus();
  }
  absl::Status Result(const FloatMoments& s, Vector* out) {
    if (s.n < (IsSample(spread) ? 2 : 1)) {
      out->AppendNull();
      return absl::OkStatus();
    }
    double variance = s.sxx / (IsSample(spread) ? s.n - 1 : s.n);
    out->AppendFloat(IsRoot(spread) ? std::sqrt(variance) : variance);
    return absl::OkStatus();
  }
};

// ---- two variables: Y first, then X

struct PairMoments {
  double n = 0, sx = 0, sxx = 0, sy = 0, syy = 0, sxy = 0;
};

using Final = std::optional<double> (*)(const PairMoments&);

template <Final final>
class PairAggregate : public Grouped<PairMoments, PairAggregate<final>> {
 public:
  absl::Status Step(PairMoments* s, Args args, size_t i) {
    double y = args[0]->floats()[i], x = args[1]->floats()[i];
    s->n += 1;
    s->sx += x;
    s->sy += y;
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    if (s->n > 1) {
      double tx = x * s->n - s->sx, ty = y * s->n - s->sy, scale = 1 / (s->n * (s->n - 1));
      s->sxx += tx * tx * scale;
      s->syy += ty * ty * scale;
      s->sxy += tx * ty * scale;
    } else {
      if (!std::isfinite(x)) s->sxx = s->sxy = kNaN;
      if (!std::isfinite(y)) s->syy = s->sxy = kNaN;
    }
    return absl::OkStatus();
  }
  absl::Status Result(const PairMoments& s, Vector* out) {
    if (out->kind() == PhysicalKind::kInt) {  // regr_count
      out->AppendInt(static_cast<int64_t>(s.n));
      return absl::OkStatus();
    }
    auto v = s.n < 1 ? std::nullopt : final(s);
    if (v) out->AppendFloat(*v);
    else out->AppendNull();
    return absl::OkStatus();
  }
};

template <typename T>
Made Make(const AggregateCall&) {
  return std::make_unique<T>();
}

template <Final final>
void RegisterPair(Registrar& r, std::string_view name) {
  r.Aggregate(name, Make<PairAggregate<final>>);
}

template <Spread spread>
void RegisterSpread(Registrar& r, std::string_view name) {
  for (std::string_view type : {"int2", "int4", "int8", "numeric"}) {
    r.AggregateFor(StrCat(name, "(", type, ")"), Make<ExactSpread<spread>>);
  }
  for (std::string_view type : {"float4", "float8"}) r.AggregateFor(StrCat(name, "(", type, ")"), Make<FloatSpread<spread>>);
}

using O = std::optional<double>;

}  // namespace

void RegisterStatisticalAggregates(Registrar& r) {
  RegisterSpread<Spread::kVarPop>(r, "var_pop");
  RegisterSpread<Spread::kVarSamp>(r, "var_samp");
  RegisterSpread<Spread::kVarSamp>(r, "variance");
  RegisterSpread<Spread::kStddevPop>(r, "stddev_pop");
  RegisterSpread<Spread::kStddevSamp>(r, "stddev_samp");
  RegisterSpread<Spread::kStddevSamp>(r, "stddev");
  RegisterPair<[](const PairMoments& s) { return O(s.n); }>(r, "regr_count");
  RegisterPair<[](const PairMoments& s) { return O(s.sxx); }>(r, "regr_sxx");
  RegisterPair<[](const PairMoments& s) { return O(s.syy); }>(r, "regr_syy");
  RegisterPair<[](const PairMoments& s) { return O(s.sxy); }>(r, "regr_sxy");
  RegisterPair<[](const PairMoments& s) { return O(s.sx / s.n); }>(r, "regr_avgx");
  RegisterPair<[](const PairMoments& s) { return O(s.sy / s.n); }>(r, "regr_avgy");
  RegisterPair<[](const PairMoments& s) { return O(s.sxy / s.n); }>(r, "covar_pop");
  RegisterPair<[](const PairMoments& s) { return s.n < 2 ? O() : O(s.sxy / (s.n - 1)); }>(r, "covar_samp");
  RegisterPair<[](const PairMoments& s) { return s.sxx == 0 || s.syy == 0 ? O() : O(s.sxy / std::sqrt(s.sxx * s.syy)); }>(r, "corr");
  RegisterPair<[](const PairMoments& s) {
    if (s.sxx == 0) return O();
    return s.syy == 0 ? O(1.0) : O(s.sxy * s.sxy / (s.sxx * s.syy));
  }>(r, "regr_r2");
  RegisterPair<[](const PairMoments& s) { return s.sxx == 0 ? O() : O(s.sxy / s.sxx); }>(r, "regr_slope");
  RegisterPair<[](const PairMoments& s) { return s.sxx == 0 ? O() : O((s.sy - s.sx * s.sxy / s.sxx) / s.n); }>(r, "regr_intercept");
}

}  // namespace insula::sql::internal

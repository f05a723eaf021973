// Lift<F>: a function of one row's values as a ScalarEval. Internal to sql/functions.
//
//   Lift<[](int64_t a, int64_t b) -> absl::StatusOr<int64_t> { … }>
//   Lift<[](FunctionContext& ctx, std::string_view s) { return std::string(…); }>
//
// Parameters: bool, int64_t, double, std::string_view, const Numeric&; first, if wanted, FunctionContext&. Results: bool, int64_t,
// double, std::string or std::string_view, Numeric; std::optional of these (nullopt: NULL); absl::StatusOr of all these. For strict
// functions: rows with a NULL argument are skipped.
#ifndef INSULA_SQL_FUNCTIONS_LIFT_H_
#define INSULA_SQL_FUNCTIONS_LIFT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/functions/registry.h"
#include "sql/types/vector.h"

namespace insula::sql::internal {

template <typename T>
struct ArgOf;
template <>
struct ArgOf<bool> {
  static bool Get(const Vector& v, size_t i) { return v.bools()[i] != 0; }
};
template <>
struct ArgOf<int64_t> {
  static int64_t Get(const Vector& v, size_t i) { return v.ints()[i]; }
};
template <>
struct ArgOf<double> {
  static double Get(const Vector& v, size_t i) { return v.floats()[i]; }
};
template <>
struct ArgOf<std::string_view> {
  static std::string_view Get(const Vector& v, size_t i) { return v.bytes(i); }
};
template <>
struct ArgOf<const Numeric&> {
  static const Numeric& Get(const Vector& v, size_t i) { return v.numerics()[i]; }
};

inline absl::Status Put(Vector* out, size_t i, bool v) { out->bools()[i] = v; return absl::OkStatus(); }
inline absl::Status Put(Vector* out, size_t i, int64_t v) { out->ints()[i] = v; return absl::OkStatus(); }
inline absl::Status Put(Vector* out, size_t i, double v) { out->floats()[i] = v; return absl::OkStatus(); }
inline absl::Status Put(Vector* out, size_t i, std::string_view v) { out->SetBytes(i, v); return absl::OkStatus(); }
inline absl::Status Put(Vector* out, size_t i, const std::string& v) { out->SetBytes(i, v); return absl::OkStatus(); }
inline absl::Status Put(Vector* out, size_t i, Numeric v) { out->numerics()[i] = std::move(v); return absl::OkStatus(); }
template <typename T>
absl::Status Put(Vector* out, size_t i, std::optional<T> v) {
  if (v) return Put(out, i, *std::move(v));
  out->SetNull(i);
  return absl::OkStatus();
}
template <typename T>
absl::Status Put(Vector* out, size_t i, absl::StatusOr<T> v) {
  if (!v.ok()) return std::move(v).status();
  return Put(out, i, *std::move(v));
}

template <auto F, bool WithContext, typename... Args>
struct Lifted {
  template <size_t... I>
  static absl::Status Run(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, Vector* out,
                          std::index_sequence<I...>) {
    for (size_t i = 0; i < rows; ++i) {
      if (out->IsNull(i)) continue;
      absl::Status status;
      if constexpr (WithContext) {
        status = Put(out, i, F(ctx, ArgOf<Args>::Get(*args[I], i)...));
      } else {
        status = Put(out, i, F(ArgOf<Args>::Get(*args[I], i)...));
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
};

template <auto F, typename M>
struct LiftBy;
template <auto F, typename L, typename R, typename... Args>
struct LiftBy<F, R (L::*)(Args...) const> {
  static absl::Status Eval(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, Vector* out) {
    return Lifted<F, false, Args...>::Run(ctx, args, rows, out, std::index_sequence_for<Args...>());
  }
};
template <auto F, typename L, typename R, typename... Args>
struct LiftBy<F, R (L::*)(FunctionContext&, Args...) const> {
  static absl::Status Eval(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, Vector* out) {
    return Lifted<F, true, Args...>::Run(ctx, args, rows, out, std::index_sequence_for<Args...>());
  }
};

template <auto F>
inline constexpr ScalarEval Lift = &LiftBy<F, decltype(&decltype(F)::operator())>::Eval;

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_FUNCTIONS_LIFT_H_

// Shorthands that pass an error on to the caller, in plain functions and in coroutines (CO_…).
//
//   RETURN_IF_ERROR(Write(x));
//   ASSIGN_OR_RETURN(auto value, Read(key));
//   CO_ASSIGN_OR_RETURN(auto value, co_await ReadLater(ctx, key));
#ifndef INSULA_BASE_STATUS_MACROS_H_
#define INSULA_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define INSULA_CONCAT_INNER(a, b) a##b
#define INSULA_CONCAT(a, b) INSULA_CONCAT_INNER(a, b)

#define INSULA_RETURN_IF_ERROR(expr, ret)                          \
  do {                                                             \
    ::absl::Status insula_status = (expr);                         \
    if (__builtin_expect(!insula_status.ok(), 0)) ret insula_status; \
  } while (0)
#define RETURN_IF_ERROR(expr) INSULA_RETURN_IF_ERROR(expr, return)
#define CO_RETURN_IF_ERROR(expr) INSULA_RETURN_IF_ERROR(expr, co_return)

#define INSULA_ASSIGN_OR_RETURN(var, lhs, expr, ret)              \
  auto var = (expr);                                              \
  if (__builtin_expect(!var.ok(), 0)) ret std::move(var).status(); \
  lhs = std::move(var).value()
#define ASSIGN_OR_RETURN(lhs, expr) INSULA_ASSIGN_OR_RETURN(INSULA_CONCAT(insula_or_, __LINE__), lhs, expr, return)
#define CO_ASSIGN_OR_RETURN(lhs, expr) INSULA_ASSIGN_OR_RETURN(INSULA_CONCAT(insula_or_, __LINE__), lhs, expr, co_return)

#endif  // INSULA_BASE_STATUS_MACROS_H_

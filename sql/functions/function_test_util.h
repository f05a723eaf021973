// Calls functions by name on values given as text, for tests.
//
//   Call("round", {"numeric=2.567", "int4=1"})        "2.6"
//   Op("'1'", "+", "int4=2")                          "3"
//   Call("upper", {"int4=1"})                         "42883 function upper(integer) does not exist"
//
// An argument is TYPE=TEXT, 'TEXT for an untyped literal, TYPE=NULL or NULL.
#ifndef INSULA_SQL_FUNCTIONS_FUNCTION_TEST_UTIL_H_
#define INSULA_SQL_FUNCTIONS_FUNCTION_TEST_UTIL_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/runtime/random.h"
#include "sql/functions/registry.h"

namespace insula::sql {

class FunctionTester {
 public:
  FunctionTester();
  FunctionContext& context() { return ctx_; }

  std::string Call(std::string_view name, const std::vector<std::string_view>& args);
  std::string Op(std::string_view left, std::string_view op, std::string_view right);
  std::string Prefix(std::string_view op, std::string_view right);
  // Rows of a set-returning function, with " | " between.
  std::string Set(std::string_view name, const std::vector<std::string_view>& args);
  // An aggregate over rows of one or more arguments.
  std::string Aggregate(std::string_view name, const std::vector<std::vector<std::string_view>>& rows);

 private:
  struct Arguments {
    std::vector<Oid> types;
    std::vector<Datum> values;
  };
  Arguments Parse(const std::vector<std::string_view>& args);
  // Casts to what the call wants, adds defaults, packs VARIADIC.
  absl::Status Prepare(const ResolvedCall& call, Arguments* args, std::vector<SqlType>* types);
  absl::StatusOr<std::string> Run(const ResolvedCall& call, Arguments args);

  FunctionContext ctx_;
  SeededRandom random_{1};
};

// "SQLSTATE message".
std::string ErrorText(const absl::Status& status);

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_FUNCTION_TEST_UTIL_H_

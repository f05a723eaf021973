// How the *_functions.cc files give life to the registry's rows. Internal to sql/functions.
//
//   void RegisterMathFunctions(Registrar& r) {
//     r.Scalar("int4abs", Lift<[](int64_t v) { … }>);                  // all rows whose source is int4abs
//     r.ScalarFor("lpad(text,int4)", Lift<…>);                         // one row, by name and argument types
//   }
#ifndef INSULA_SQL_FUNCTIONS_REGISTRAR_H_
#define INSULA_SQL_FUNCTIONS_REGISTRAR_H_

#include <string_view>
#include <unordered_map>
#include <vector>

#include "sql/functions/registry.h"

namespace insula::sql::internal {

class Registrar {
 public:
  explicit Registrar(std::vector<FunctionInfo>* functions);
  // A name that matches no row stops the process: it is a mistake in our code.
  void Scalar(std::string_view source, ScalarEval eval);
  void ScalarFor(std::string_view signature, ScalarEval eval);
  void Set(std::string_view source, SetEval eval);
  void SetFor(std::string_view signature, SetEval eval);
  // All aggregates of this name.
  void Aggregate(std::string_view name, AggregateFactory factory);
  void AggregateFor(std::string_view signature, AggregateFactory factory);
  void NeedsSequence(std::string_view source);

 private:
  std::vector<FunctionInfo*>& BySource(std::string_view source);
  FunctionInfo& BySignature(std::string_view signature);

  std::vector<FunctionInfo>* functions_;
  std::unordered_map<std::string_view, std::vector<FunctionInfo*>> by_source_;
};

void RegisterOperators(Registrar& r);
void RegisterMathFunctions(Registrar& r);
void RegisterNumericFunctions(Registrar& r);
void RegisterStringFunctions(Registrar& r);
void RegisterTextCodecFunctions(Registrar& r);
void RegisterBitFunctions(Registrar& r);
void RegisterPatternFunctions(Registrar& r);
void RegisterDateTimeFunctions(Registrar& r);
void RegisterFormatFunctions(Registrar& r);
void RegisterArrayFunctions(Registrar& r);
void RegisterJsonFunctions(Registrar& r);
void RegisterSystemFunctions(Registrar& r);
void RegisterCatalogFunctions(Registrar& r);
void RegisterCastFunctions(Registrar& r);
void RegisterSetFunctions(Registrar& r);
void RegisterAggregates(Registrar& r);
void RegisterStatisticalAggregates(Registrar& r);

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_FUNCTIONS_REGISTRAR_H_

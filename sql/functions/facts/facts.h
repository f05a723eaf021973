// What PostgreSQL 15's catalog says about built-in functions and operators whose types we know: facts, in our own short form.
//
// ProcFact.flags has six characters: kind (f a w p), volatility (i s v), strict (0 1), returns a set (0 1), parallel (s r u),
// leakproof (0 1). Type lists are OIDs with blanks between. `source` is prosrc, the name an implementation registers for; it is
// empty for aggregates and for functions that PostgreSQL writes in SQL, which register by signature.
#ifndef INSULA_SQL_FUNCTIONS_FACTS_FACTS_H_
#define INSULA_SQL_FUNCTIONS_FACTS_FACTS_H_

#include <cstdint>
#include <span>

namespace insula::sql::internal {

struct ProcFact {
  uint32_t oid;
  const char* name;
  const char* source;
  const char* flags;
  uint32_t variadic;
  uint32_t result;
  const char* args;
  const char* out_types;
  const char* arg_names;
  uint8_t defaults;
};

struct OperatorFact {
  uint32_t oid;
  const char* name;
  uint32_t left, right, result;
  uint32_t commutator, negator;
  bool can_merge, can_hash;
  uint32_t function;
};

// By name, then OID; the three together are in order.
std::span<const ProcFact> ProcsAToH();
std::span<const ProcFact> ProcsIToO();
std::span<const ProcFact> ProcsPToZ();
std::span<const OperatorFact> Operators();

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_FUNCTIONS_FACTS_FACTS_H_

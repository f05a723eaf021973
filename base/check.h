// Assertions that stay on in production: a broken invariant stops the process before it can do harm.
//
//   CHECK(ptr != nullptr) << "replica " << id << " has no engine";
//   CHECK_LE(applied, committed);
//   CHECK_OK(status);
//
// DCHECK is for checks too slow for the hot path; on in tests and simulation (when INSULA_SLOW_CHECKS is defined).
#ifndef INSULA_BASE_CHECK_H_
#define INSULA_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace insula::internal {

// Collects the message of a failed check and aborts when the full expression ends.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* what) { out_ << file << ":" << line << ": CHECK failed: " << what << " "; }
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure() {
    std::string text = out_.str();
    std::fprintf(stderr, "%s\n", text.c_str());
    std::fflush(stderr);
    std::abort();
  }
  std::ostream& stream() { return out_; }

 private:
  std::ostringstream out_;
};

struct CheckVoidify {
  void operator&(std::ostream&) {}
};

}  // namespace insula::internal

#define CHECK(cond)                     \
  (__builtin_expect(!!(cond), 1)) ? (void)0 \
                                  : ::insula::internal::CheckVoidify() & ::insula::internal::CheckFailure(__FILE__, __LINE__, #cond).stream()

#define INSULA_CHECK_OP(a, b, op) CHECK((a)op(b)) << "(" << (a) << " vs. " << (b) << ") "
#define CHECK_EQ(a, b) INSULA_CHECK_OP(a, b, ==)
#define CHECK_NE(a, b) INSULA_CHECK_OP(a, b, !=)
#define CHECK_LT(a, b) INSULA_CHECK_OP(a, b, <)
#define CHECK_LE(a, b) INSULA_CHECK_OP(a, b, <=)
#define CHECK_GT(a, b) INSULA_CHECK_OP(a, b, >)
#define CHECK_GE(a, b) INSULA_CHECK_OP(a, b, >=)
#define CHECK_OK(expr)                                                     \
  do {                                                                     \
    const auto& insula_check_status = (expr);                              \
    CHECK(insula_check_status.ok()) << insula_check_status.ToString() << " "; \
  } while (0)

#ifdef INSULA_SLOW_CHECKS
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond) CHECK(true || (cond))
#endif

#endif  // INSULA_BASE_CHECK_H_

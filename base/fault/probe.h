// Marks rare paths and counts how often they are taken, so that a simulation can say which it never reached.
//
//   PROBE("a torn end of the log was cut");
//
// Every probe of the program is known from the start, hit or not. The same name in two places is one probe.
// Cost: a relaxed increment. Thread safety: any thread.
#ifndef INSULA_BASE_FAULT_PROBE_H_
#define INSULA_BASE_FAULT_PROBE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace insula::fault {

class Probe {
 public:
  // `name` lives as long as the program. Registers itself; while the program starts, only.
  explicit Probe(const char* name);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void Hit() { hits_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }
  const char* name() const { return name_; }
  const Probe* next() const { return next_; }

 private:
  const char* name_;
  std::atomic<uint64_t> hits_{0};
  Probe* next_;
};

// A string literal as a template argument.
template <size_t N>
struct ProbeName {
  consteval ProbeName(const char (&text)[N]) { std::copy_n(text, N, chars); }  // NOLINT: from a literal
  char chars[N];
};

// One probe per name; a use of `site` anywhere makes it exist from the program's start.
template <ProbeName kName>
inline Probe site{kName.chars};

// Hits of every probe so far, zeros included.
std::map<std::string, uint64_t> ProbeHits();

}  // namespace insula::fault

#define PROBE(name) ::insula::fault::site<name>.Hit()

#endif  // INSULA_BASE_FAULT_PROBE_H_

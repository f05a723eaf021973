// The two kinds of time: monotonic (intervals, timers) and wall (timestamps that people and the HLC see).
#ifndef INSULA_BASE_RUNTIME_TIME_H_
#define INSULA_BASE_RUNTIME_TIME_H_

#include <chrono>
#include <cstdint>

namespace insula {

using Duration = std::chrono::nanoseconds;

struct MonotonicTag {};
struct WallTag {};

// Nanoseconds since an arbitrary start; never jumps.
using MonoTime = std::chrono::time_point<MonotonicTag, std::chrono::nanoseconds>;
// Microseconds since 1970-01-01 UTC; may jump.
using WallTime = std::chrono::time_point<WallTag, std::chrono::microseconds>;

// The clock of one process. In the simulator each process has its own, skewed and jumping as the seed says.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime Mono() const = 0;
  virtual WallTime Wall() const = 0;
};

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ns;

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_TIME_H_

// Random numbers of one process: seeded in the simulator, from the kernel in production.
#ifndef INSULA_BASE_RUNTIME_RANDOM_H_
#define INSULA_BASE_RUNTIME_RANDOM_H_

#include <cstdint>
#include <string>

namespace insula {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next64() = 0;

  // Uniform in [0, bound); bound > 0. The modulo bias is below 2^-32 for bounds under 2^32.
  uint64_t Uniform(uint64_t bound) { return Next64() % bound; }
  // Uniform in [0, 1).
  double UniformDouble() { return static_cast<double>(Next64() >> 11) * 0x1.0p-53; }
  // True with probability `p`.
  bool Chance(double p) { return UniformDouble() < p; }
  std::string Bytes(size_t n) {
    std::string out(n, '\0');
    for (size_t i = 0; i < n; ++i) out[i] = static_cast<char>(Next64());
    return out;
  }
};

// SplitMix64 (Steele, Lea, Flood 2014): deterministic, for simulation and tests. Not for secrets.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next64() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_RANDOM_H_

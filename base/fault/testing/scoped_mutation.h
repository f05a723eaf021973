// Switches a deliberate bug on for as long as it lives. Only tests and the simulator can link it.
#ifndef INSULA_BASE_FAULT_TESTING_SCOPED_MUTATION_H_
#define INSULA_BASE_FAULT_TESTING_SCOPED_MUTATION_H_

#include <optional>
#include <string_view>

#include "base/fault/mutation.h"

namespace insula::fault {

class ScopedMutation {
 public:
  explicit ScopedMutation(Mutation mutation) : before_(internal::switched_on) { internal::switched_on |= 1u << static_cast<int>(mutation); }
  ~ScopedMutation() { internal::switched_on = before_; }
  ScopedMutation(const ScopedMutation&) = delete;
  ScopedMutation& operator=(const ScopedMutation&) = delete;

 private:
  uint32_t before_;
};

// nullopt: there is none of that name.
inline std::optional<Mutation> FindMutation(std::string_view name) {
  for (int i = 0; i < kMutations; ++i) {
    if (NameOf(static_cast<Mutation>(i)) == name) return static_cast<Mutation>(i);
  }
  return std::nullopt;
}

}  // namespace insula::fault

#endif  // INSULA_BASE_FAULT_TESTING_SCOPED_MUTATION_H_

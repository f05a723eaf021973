// Passwords that the CLI makes up or reads.
#ifndef INSULA_CLI_PASSWORDS_H_
#define INSULA_CLI_PASSWORDS_H_

#include <string>

#include "base/runtime/random.h"

namespace insula::cli {

// 24 characters of 62: 142 bits. `random` must be fit for secrets.
inline std::string GeneratePassword(Random* random) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string out;
  for (int i = 0; i < 24; ++i) out.push_back(kAlphabet[random->Uniform(62)]);
  return out;
}

}  // namespace insula::cli

#endif  // INSULA_CLI_PASSWORDS_H_

// The version that --version, node status and logs show.
#ifndef INSULA_CLI_VERSION_H_
#define INSULA_CLI_VERSION_H_

namespace insula::cli {
inline constexpr char kVersion[] = "0.1.0";
}  // namespace insula::cli

#endif  // INSULA_CLI_VERSION_H_

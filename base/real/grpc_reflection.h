// The standard server reflection service, for a server whose methods are known by name only (private to base/real).
//
// Answers from the descriptors that are linked into the process; the protocol's own messages are small and read by hand.
#ifndef INSULA_BASE_REAL_GRPC_REFLECTION_H_
#define INSULA_BASE_REAL_GRPC_REFLECTION_H_

#include <set>
#include <string>
#include <string_view>

namespace insula::real {

inline constexpr char kReflectionV1[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
inline constexpr char kReflectionV1Alpha[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// The ServerReflectionResponse to a ServerReflectionRequest; `services` are the full names of what the server serves.
std::string AnswerReflection(std::string_view request, const std::set<std::string>& services);

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_REFLECTION_H_

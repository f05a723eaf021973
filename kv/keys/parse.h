// Keys that people type, in the form that they see them in (keys.h).
#ifndef INSULA_KV_KEYS_PARSE_H_
#define INSULA_KV_KEYS_PARSE_H_

#include <optional>
#include <string>
#include <string_view>

namespace insula::kv::keys {

// The key that Pretty shows as `text` ("/Max": above every key); nullopt: none. Of two keys that look alike it is the one with a number.
std::optional<std::string> ParsePretty(std::string_view text);

}  // namespace insula::kv::keys

#endif  // INSULA_KV_KEYS_PARSE_H_

#include "kv/keys/parse.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "kv/keys/keys.h"
#include "tenant/tenant.h"

namespace insula::kv::keys {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> ParseReadable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text[0] != '\\') {
      out.push_back(text[0]);
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 4 || text[1] != 'x' || HexDigit(text[2]) < 0 || HexDigit(text[3]) < 0) return std::nullopt;
    out.push_back(static_cast<char>(HexDigit(text[2]) << 4 | HexDigit(text[3])));
    text.remove_prefix(4);
  }
  return out;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

bool TakePrefix(std::string_view* text, std::string_view prefix) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

// Behind "/System".
std::optional<std::string> ParseSystem(std::string_view rest) {
  if (rest.empty()) return SystemStart();
  if (rest.size() < 2 || rest[0] != '/' || (rest.size() > 2 && rest[2] != '/')) return std::nullopt;
  const auto table = static_cast<SystemTable>(rest[1]);
  if (rest.size() <= 3) return SystemKey(table);
  rest.remove_prefix(3);
  if (auto id = ParseNumber(rest); id.has_value()) return SystemKey(table, *id);
  auto name = ParseReadable(rest);
  return name.has_value() ? std::optional(SystemKey(table, *name)) : std::nullopt;
}

// Behind "/Keyspace/".
std::optional<std::string> ParseKeyspace(std::string_view rest) {
  const size_t slash = std::min(rest.find('/'), rest.size());
  auto keyspace = ParseNumber(rest.substr(0, slash));
  auto inner = ParseReadable(rest.substr(std::min(slash + 1, rest.size())));
  if (!keyspace.has_value() || !inner.has_value()) return std::nullopt;
  return KeyspacePrefix(*keyspace) + *inner;
}

}  // namespace

std::optional<std::string> ParsePretty(std::string_view text) {
  if (text == "/Min") return "";
  if (text == "/Max") return std::string("\xff");
  for (auto [name, tag] : {std::pair("/Meta1", kMeta1Tag), std::pair("/Meta2", kMeta2Tag)}) {
    if (!TakePrefix(&text, name)) continue;
    if (text.empty()) return std::string(1, tag);
    auto inner = ParsePretty(text);
    return inner.has_value() ? std::optional(std::string(1, tag) + *inner) : std::nullopt;
  }
  if (TakePrefix(&text, "/System")) return ParseSystem(text);
  if (TakePrefix(&text, "/Keyspace/")) return ParseKeyspace(text);
  return TakePrefix(&text, "/") ? ParseReadable(text) : std::nullopt;
}

}  // namespace insula::kv::keys

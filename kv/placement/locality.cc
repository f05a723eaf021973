#include "kv/placement/locality.h"

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace insula::kv::placement {
namespace {

bool IsWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

absl::StatusOr<Locality> ParseLocality(std::string_view text) {
  Locality out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, comma);
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos || !IsWord(entry.substr(0, equals)) || !IsWord(entry.substr(equals + 1)) || comma + 1 == text.size()) {
      return absl::InvalidArgumentError(StrCat("\"", entry, "\" is not a part of a locality: it has the form KEY=VALUE,… with the widest first, as in region=eu,zone=a"));
    }
    Tier tier{std::string(entry.substr(0, equals)), std::string(entry.substr(equals + 1))};
    if (std::any_of(out.begin(), out.end(), [&](const Tier& t) { return t.key == tier.key; })) {
      return absl::InvalidArgumentError(StrCat("the locality names ", tier.key, " twice"));
    }
    out.push_back(std::move(tier));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

double Distance(const Locality& a, const Locality& b) {
  const size_t depth = std::max(a.size(), b.size());
  if (depth == 0) return 0;
  size_t common = 0;
  while (common < std::min(a.size(), b.size()) && a[common] == b[common]) ++common;
  return static_cast<double>(depth - common) / static_cast<double>(depth);
}

double Diversity(const std::vector<const Locality*>& places) {
  double sum = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = i + 1; j < places.size(); ++j) sum += Distance(*places[i], *places[j]);
  }
  return sum;
}

}  // namespace insula::kv::placement

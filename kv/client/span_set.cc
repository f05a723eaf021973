#include "kv/client/span_set.h"

#include <algorithm>
#include <utility>

namespace insula::kv {
namespace {

size_t BytesOf(const v1::Span& span) { return span.key().size() + span.end_key().size() + 32; }

// Where the span ends: a single key's end is the key right after it.
std::string EndOf(const v1::Span& span) { return span.end_key().empty() ? span.key() + '\0' : span.end_key(); }

}  // namespace

void SpanSet::Add(std::string_view key, std::string_view end_key) {
  if (!spans_.empty()) {
    v1::Span& last = spans_.back();
    if (last.key() == key && last.end_key() == end_key) return;
    // The next page of a scan.
    if (!end_key.empty() && !last.end_key().empty() && last.end_key() == key) {
      bytes_ += end_key.size() - last.end_key().size();
      last.set_end_key(std::string(end_key));
      return;
    }
    sorted_ = sorted_ && (last.end_key().empty() ? last.key() < key : last.end_key() <= key);
  }
  v1::Span& span = spans_.emplace_back();
  span.set_key(std::string(key));
  span.set_end_key(std::string(end_key));
  bytes_ += BytesOf(span);
  if (bytes_ > budget_) {
    Sort();
    if (bytes_ > budget_ / 2) Condense();
  }
}

const std::vector<v1::Span>& SpanSet::spans() {
  if (!sorted_) Sort();
  return spans_;
}

void SpanSet::Sort() {
  std::sort(spans_.begin(), spans_.end(), [](const v1::Span& a, const v1::Span& b) { return a.key() < b.key() || (a.key() == b.key() && a.end_key() > b.end_key()); });
  std::vector<v1::Span> merged;
  bytes_ = 0;
  for (v1::Span& span : spans_) {
    if (!merged.empty() && span.key() < EndOf(merged.back())) {
      if (EndOf(span) > EndOf(merged.back())) merged.back().set_end_key(EndOf(span));
      continue;
    }
    merged.push_back(std::move(span));
  }
  spans_ = std::move(merged);
  for (const v1::Span& span : spans_) bytes_ += BytesOf(span);
  sorted_ = true;
}

// Joins neighbours, the whole set evenly, until half the budget is free.
void SpanSet::Condense() {
  while (bytes_ > budget_ / 2 && spans_.size() > 1) {
    std::vector<v1::Span> joined;
    for (size_t i = 0; i < spans_.size(); i += 2) {
      v1::Span& span = joined.emplace_back(std::move(spans_[i]));
      if (i + 1 < spans_.size()) span.set_end_key(EndOf(spans_[i + 1]));
    }
    spans_ = std::move(joined);
    bytes_ = 0;
    for (const v1::Span& span : spans_) bytes_ += BytesOf(span);
  }
}

}  // namespace insula::kv

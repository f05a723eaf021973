#include "sql/exec/key_ranges.h"

#include <algorithm>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "sql/types/array.h"

namespace insula::sql {

KeyRanges::KeyRanges(const RowCodec& codec, int index, const std::vector<KeySpan>& spans) : codec_(&codec), index_(index) {
  for (const KeySpan& s : spans) {
    Span span{{}, Evaluator(s.lower), Evaluator(s.upper), s.lower_inclusive, s.upper_inclusive};
    for (const KeyPrefix& p : s.prefix) {
      Prefix prefix;
      prefix.kind = p.kind;
      for (const auto& v : p.values) prefix.values.emplace_back(v);
      if (p.kind == KeyPrefix::kInArray) prefix.element = ElementTypeOf(p.values[0]->type.oid);
      span.prefix.push_back(std::move(prefix));
    }
    spans_.push_back(std::move(span));
  }
}

absl::Status KeyRanges::ValuesOf(EvalContext& eval, Prefix& prefix, std::vector<Datum>* out) {
  if (prefix.kind == KeyPrefix::kIsNull) {
    // No primary key is NULL.
    if (!codec_->table().indexes[index_].primary) out->push_back(Datum::Null());
    return absl::OkStatus();
  }
  for (Evaluator& e : prefix.values) {
    ASSIGN_OR_RETURN(Datum v, e.EvaluateValue(eval));
    if (v.is_null()) continue;
    if (prefix.kind != KeyPrefix::kInArray) {
      out->push_back(std::move(v));
      continue;
    }
    ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(v.bytes_value()));
    for (Datum& element : array.elements) {
      if (!element.is_null()) out->push_back(std::move(element));
    }
  }
  return absl::OkStatus();
}

// All keys that the prefix columns allow.
absl::Status KeyRanges::KeysOf(EvalContext& eval, Span& span, std::vector<std::string>* out) {
  out->assign(1, codec_->IndexPrefix(index_));
  for (size_t c = 0; c < span.prefix.size(); ++c) {
    std::vector<Datum> values;
    RETURN_IF_ERROR(ValuesOf(eval, span.prefix[c], &values));
    std::vector<std::string> longer;
    longer.reserve(out->size() * values.size());
    for (const std::string& key : *out) {
      for (const Datum& v : values) {
        longer.push_back(key);
        codec_->AppendIndexColumn(index_, static_cast<int>(c), &v, &longer.back());
      }
    }
    out->swap(longer);
  }
  return absl::OkStatus();
}

absl::Status KeyRanges::AddRanges(EvalContext& eval, Span& span, std::vector<KeyRange>* out) {
  std::vector<std::string> keys;
  RETURN_IF_ERROR(KeysOf(eval, span, &keys));
  int column = static_cast<int>(span.prefix.size());
  if (span.lower.empty() && span.upper.empty()) {
    for (std::string& key : keys) {
      std::string end = PrefixEnd(key);
      out->push_back({std::move(key), std::move(end)});
    }
    return absl::OkStatus();
  }
  Datum lower, upper;
  if (!span.lower.empty()) {
    ASSIGN_OR_RETURN(lower, span.lower.EvaluateValue(eval));
    if (lower.is_null()) return absl::OkStatus();
  }
  if (!span.upper.empty()) {
    ASSIGN_OR_RETURN(upper, span.upper.EvaluateValue(eval));
    if (upper.is_null()) return absl::OkStatus();
  }
  // In a descending column the larger value comes first.
  bool descending = codec_->DirectionOf(index_, column) == Direction::kDescending;
  const Datum &first = descending ? upper : lower, &last = descending ? lower : upper;
  bool first_inclusive = descending ? span.upper_inclusive : span.lower_inclusive;
  bool last_inclusive = descending ? span.lower_inclusive : span.upper_inclusive;
  for (const std::string& key : keys) {
    KeyRange range{key, key};
    if (first.is_null()) {
      codec_->AppendValuesMark(index_, column, &range.start);
    } else {
      codec_->AppendIndexColumn(index_, column, &first, &range.start);
      if (!first_inclusive) range.start = PrefixEnd(range.start);
    }
    if (last.is_null()) {
      codec_->AppendValuesMark(index_, column, &range.end);
      range.end = PrefixEnd(range.end);
    } else {
      codec_->AppendIndexColumn(index_, column, &last, &range.end);
      if (last_inclusive) range.end = PrefixEnd(range.end);
    }
    if (range.start < range.end) out->push_back(std::move(range));
  }
  return absl::OkStatus();
}

absl::Status KeyRanges::Compute(EvalContext& eval, std::vector<KeyRange>* out) {
  out->clear();
  if (spans_.empty()) {
    const std::string& prefix = codec_->IndexPrefix(index_);
    out->push_back({prefix, PrefixEnd(prefix)});
    return absl::OkStatus();
  }
  for (Span& span : spans_) RETURN_IF_ERROR(AddRanges(eval, span, out));
  std::sort(out->begin(), out->end(), [](const KeyRange& a, const KeyRange& b) { return a.start < b.start; });
  size_t kept = 0;
  for (size_t i = 0; i < out->size(); ++i) {
    if (kept > 0 && (*out)[i].start < (*out)[kept - 1].end) {
      (*out)[kept - 1].end = std::max((*out)[kept - 1].end, (*out)[i].end);
    } else {
      if (kept != i) (*out)[kept] = std::move((*out)[i]);
      ++kept;
    }
  }
  out->resize(kept);
  return absl::OkStatus();
}

absl::Status KeyRanges::ComputePoints(EvalContext& eval, std::vector<std::string>* out) {
  out->clear();
  for (Span& span : spans_) {
    std::vector<std::string> keys;
    RETURN_IF_ERROR(KeysOf(eval, span, &keys));
    out->insert(out->end(), std::make_move_iterator(keys.begin()), std::make_move_iterator(keys.end()));
  }
  if (out->size() > 1) {
    std::sort(out->begin(), out->end());
    out->erase(std::unique(out->begin(), out->end()), out->end());
  }
  return absl::OkStatus();
}

bool Contains(const std::vector<KeyRange>& ranges, std::string_view key) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), key, [](std::string_view k, const KeyRange& r) { return k < r.start; });
  return after != ranges.begin() && key < std::prev(after)->end;
}

}  // namespace insula::sql

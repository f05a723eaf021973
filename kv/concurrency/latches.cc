#include "kv/concurrency/latches.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace insula::kv {

LatchManager::~LatchManager() { CHECK(latches_.empty()) << "latches outlive their range"; }

bool LatchManager::Conflicts(bool write_a, Timestamp ts_a, bool write_b, Timestamp ts_b) {
  if (!write_a && !write_b) return false;
  if (write_a && write_b) return true;
  if (ts_a.empty() || ts_b.empty()) return true;
  Timestamp read = write_a ? ts_b : ts_a;
  Timestamp write = write_a ? ts_a : ts_b;
  return read >= write;
}

template <typename F>
void LatchManager::ForEachConflict(const LatchSpan& span, F fn) const {
  auto visit = [&](const PointEntry& entry) {
    if (Conflicts(span.write, span.ts, entry.write, entry.ts)) fn(entry.latch);
  };
  if (span.end_key.empty()) {
    auto [from, to] = points_.equal_range(span.key);
    for (auto it = from; it != to; ++it) visit(it->second);
  } else {
    for (auto it = points_.lower_bound(span.key); it != points_.end() && it->first < span.end_key; ++it) visit(it->second);
  }
  for (const auto& [other, latch] : ranges_) {
    bool overlap = span.key < other.end_key && (span.end_key.empty() ? other.key <= span.key : other.key < span.end_key);
    if (overlap && Conflicts(span.write, span.ts, other.write, other.ts)) fn(latch);
  }
}

LatchManager::Guard LatchManager::Insert(std::vector<LatchSpan> spans) {
  auto owned = std::make_unique<Latch>();
  Latch* latch = owned.get();
  latch->sequence = ++next_sequence_;
  for (const LatchSpan& span : spans) {
    ForEachConflict(span, [latch](Latch* other) {
      // A latch's dependents are in order of arrival, so one look at the last avoids counting a pair twice.
      if (!other->dependents.empty() && other->dependents.back() == latch->sequence) return;
      other->dependents.push_back(latch->sequence);
      ++latch->blockers;
    });
  }
  for (const LatchSpan& span : spans) {
    if (span.end_key.empty()) {
      points_.emplace(span.key, PointEntry{latch, span.write, span.ts});
    } else {
      ranges_.emplace_back(span, latch);
    }
  }
  latch->spans = std::move(spans);
  latches_.emplace_hint(latches_.end(), latch->sequence, std::move(owned));
  return Guard(this, latch);
}

Task<absl::Status> LatchManager::Wait(const Context& ctx, const Guard& guard) {
  while (guard.latch_->blockers > 0) {
    absl::Status status = co_await guard.latch_->ready.Wait(ctx);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

void LatchManager::Remove(Latch* latch) {
  bool has_range = false;
  for (const LatchSpan& span : latch->spans) {
    if (!span.end_key.empty()) {
      has_range = true;
      continue;
    }
    auto [from, to] = points_.equal_range(span.key);
    auto it = std::find_if(from, to, [latch](const auto& entry) { return entry.second.latch == latch; });
    CHECK(it != to);
    points_.erase(it);
  }
  if (has_range) std::erase_if(ranges_, [latch](const auto& entry) { return entry.second == latch; });
  auto node = latches_.extract(latch->sequence);
  for (uint64_t sequence : latch->dependents) {
    auto it = latches_.find(sequence);
    if (it == latches_.end()) continue;  // it left before us
    CHECK_GT(it->second->blockers, 0);
    if (--it->second->blockers == 0) it->second->ready.NotifyAll();
  }
}

void LatchManager::VerifyInvariants() const {
  for (const auto& [sequence, latch] : latches_) {
    std::vector<const Latch*> earlier;
    for (const LatchSpan& span : latch->spans) {
      ForEachConflict(span, [&, sequence = sequence](Latch* other) {
        if (other->sequence < sequence) earlier.push_back(other);
      });
    }
    std::sort(earlier.begin(), earlier.end(), [](const Latch* a, const Latch* b) { return a->sequence < b->sequence; });
    earlier.erase(std::unique(earlier.begin(), earlier.end()), earlier.end());
    CHECK_EQ(static_cast<size_t>(latch->blockers), earlier.size()) << "latch " << sequence;
    for (const Latch* other : earlier) {
      CHECK_EQ(std::count(other->dependents.begin(), other->dependents.end(), sequence), 1);
    }
  }
}

}  // namespace insula::kv

#include "sql/exec/sequences.h"

#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status NoSuchSequence(Oid oid) { return PgError(sqlstate::kUndefinedTable, StrCat("relation with OID ", oid, " does not exist")); }

// The value a counter stands for; false when it lies outside the sequence's bounds. With CYCLE the n-th step past the bound is
// the n-th value from the other end.
bool ValueAt(const SequenceInfo& s, __int128 raw, int64_t* out) {
  if (raw >= s.minimum && raw <= s.maximum) {
    *out = static_cast<int64_t>(raw);
    return true;
  }
  if (!s.cycle) return false;
  const bool up = s.increment > 0;
  const __int128 step = up ? s.increment : -static_cast<__int128>(s.increment);
  const __int128 values = (static_cast<__int128>(s.maximum) - s.minimum) / step + 1;
  const __int128 past = up ? raw - s.maximum : s.minimum - raw;
  if (past <= 0) return false;
  const __int128 place = (past - 1) / step % values * step;
  *out = static_cast<int64_t>(up ? s.minimum + place : s.maximum - place);
  return true;
}

// How many of the `count` values from `first` on exist.
uint64_t Usable(const SequenceInfo& s, __int128 first, uint64_t count) {
  if (s.cycle) return count;
  __int128 room = s.increment > 0 ? s.maximum - first : first - s.minimum;
  if (room < 0) return 0;
  __int128 step = s.increment > 0 ? s.increment : -static_cast<__int128>(s.increment);
  return static_cast<uint64_t>(std::min<__int128>(room / step + 1, count));
}

absl::Status RanOut(const TableInfo& table) {
  const SequenceInfo& s = *table.sequence;
  bool up = s.increment > 0;
  return PgError("2200H", StrCat("nextval: reached ", up ? "maximum" : "minimum", " value of sequence \"", table.name, "\" (",
                                 up ? s.maximum : s.minimum, ")"));
}

}  // namespace

Task<absl::Status> SessionSequences::Reserve(const Context& ctx, Oid sequence, uint64_t count) {
  TablePtr table = snapshot_ == nullptr ? nullptr : snapshot_->FindTableByOid(sequence);
  if (table == nullptr) co_return NoSuchSequence(sequence);
  if (!table->sequence) co_return PgError(sqlstate::kWrongObjectType, StrCat("\"", table->name, "\" is not a sequence"));
  const SequenceInfo& info = *table->sequence;
  State& state = states_[sequence];
  if (state.storage_id != table->id) {
    state.storage_id = table->id;
    state.left = 0;
  }
  if (state.left >= count) co_return absl::OkStatus();

  // What is left in the pool is given up, so that one block serves the whole statement.
  uint64_t block = std::max<uint64_t>(count, static_cast<uint64_t>(info.cache));
  __int128 by = static_cast<__int128>(info.increment) * block;
  if (by > INT64_MAX || by < INT64_MIN) co_return RanOut(*table);
  const std::string key = catalog_->layout().Sequence(table->id);
  absl::StatusOr<int64_t> counter = co_await catalog_->database().Increment(ctx, key, static_cast<int64_t>(by));
  if (!counter.ok()) {
    if (counter.status().code() == absl::StatusCode::kOutOfRange) co_return RanOut(*table);
    co_return counter.status();
  }
  // counter + start - increment is the block's last value.
  const __int128 last = static_cast<__int128>(*counter) + info.start - info.increment;
  const __int128 first = last - by + info.increment;
  const uint64_t usable = Usable(info, first, block);
  if (usable < block) {
    // Values past the bound are nobody's: the counter goes back to the last one that is somebody's.
    const __int128 back = static_cast<__int128>(info.increment) * (block - usable);
    CO_RETURN_IF_ERROR((co_await catalog_->database().Increment(ctx, key, static_cast<int64_t>(-back))).status());
  }
  State& again = states_[sequence];
  again.next = first;
  again.exhausted = usable < block;
  again.left = usable;  // fewer than asked for: whoever takes one too many hears of it in Next()
  co_return absl::OkStatus();
}

absl::StatusOr<int64_t> SessionSequences::Next(Oid sequence) {
  TablePtr table = snapshot_ == nullptr ? nullptr : snapshot_->FindTableByOid(sequence);
  if (table == nullptr || !table->sequence) return NoSuchSequence(sequence);
  const SequenceInfo& info = *table->sequence;
  auto it = states_.find(sequence);
  if (it == states_.end()) return PgUnsupported("nextval() in this place");
  State& state = it->second;
  int64_t value = 0;
  if (auto set = pending_.find(sequence); set != pending_.end()) {
    // After a setval of this statement; the counter follows when it is written.
    __int128 raw = static_cast<__int128>(set->second.value) + (set->second.is_called ? info.increment : 0);
    if (!ValueAt(info, raw, &value)) return RanOut(*table);
    set->second = {value, true};
  } else {
    if (state.left == 0) return state.exhausted ? RanOut(*table) : PgUnsupported("nextval() in this place");
    if (!ValueAt(info, state.next, &value)) return RanOut(*table);
    state.next += info.increment;
    --state.left;
  }
  state.current = value;
  last_ = sequence;
  return value;
}

absl::StatusOr<int64_t> SessionSequences::Current(Oid sequence) {
  auto it = states_.find(sequence);
  TablePtr table = snapshot_ == nullptr ? nullptr : snapshot_->FindTableByOid(sequence);
  if (table == nullptr) return NoSuchSequence(sequence);
  if (it == states_.end() || !it->second.current) {
    return PgError(sqlstate::kObjectNotInPrerequisiteState,
                   StrCat("currval of sequence \"", table->name, "\" is not yet defined in this session"));
  }
  return *it->second.current;
}

absl::StatusOr<int64_t> SessionSequences::Last() {
  if (!last_) return PgError(sqlstate::kObjectNotInPrerequisiteState, "lastval is not yet defined in this session");
  return Current(*last_);
}

absl::Status SessionSequences::Set(Oid sequence, int64_t value, bool is_called) {
  TablePtr table = snapshot_ == nullptr ? nullptr : snapshot_->FindTableByOid(sequence);
  if (table == nullptr) return NoSuchSequence(sequence);
  if (!table->sequence) return PgError(sqlstate::kWrongObjectType, StrCat("\"", table->name, "\" is not a sequence"));
  const SequenceInfo& info = *table->sequence;
  if (value < info.minimum || value > info.maximum) {
    return PgError(sqlstate::kNumericValueOutOfRange, StrCat("setval: value ", value, " is out of bounds for sequence \"", table->name,
                                                             "\" (", info.minimum, "..", info.maximum, ")"));
  }
  State& state = states_[sequence];
  state.left = 0;
  if (is_called) {
    state.current = value;
    last_ = sequence;
  }
  pending_[sequence] = {value, is_called};
  return absl::OkStatus();
}

Task<absl::Status> SessionSequences::Flush(const Context& ctx) {
  std::map<Oid, PendingSet> pending = std::move(pending_);
  pending_.clear();
  for (const auto& [sequence, p] : pending) {
    TablePtr table = snapshot_->FindTableByOid(sequence);
    if (table == nullptr || !table->sequence) continue;
    const SequenceInfo& info = *table->sequence;
    std::string key = catalog_->layout().Sequence(table->id);
    CO_ASSIGN_OR_RETURN(int64_t now, co_await catalog_->database().Increment(ctx, key, 0));
    __int128 want = static_cast<__int128>(p.value) - info.start + info.increment - (p.is_called ? 0 : info.increment);
    __int128 by = want - now;
    if (by > INT64_MAX || by < INT64_MIN) {
      co_return PgError(sqlstate::kNumericValueOutOfRange, StrCat("setval: value ", p.value, " is too far from the sequence's state"));
    }
    if (by != 0) CO_RETURN_IF_ERROR((co_await catalog_->database().Increment(ctx, key, static_cast<int64_t>(by))).status());
  }
  co_return absl::OkStatus();
}

void SessionSequences::Discard() {
  states_.clear();
  pending_.clear();
  last_.reset();
}

}  // namespace insula::sql

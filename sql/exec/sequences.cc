#include "sql/exec/sequences.h"

#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status NoSuchSequence(Oid oid) { return PgError(sqlstate::kUndefinedTable, StrCat("relation with OID ", oid, " does not exist")); }

// Distance of values from one cycle to the next.
__int128 CycleLength(const SequenceInfo& s) {
  __int128 span = static_cast<__int128>(s.maximum) - s.minimum;
  __int128 step = s.increment < 0 ? -static_cast<__int128>(s.increment) : s.increment;
  return (span / step + 1) * step;
}

// The value a counter stands for, wrapped for CYCLE; false when it lies outside the sequence's bounds.
bool ValueAt(const SequenceInfo& s, __int128 raw, int64_t* out) {
  if (raw >= s.minimum && raw <= s.maximum) {
    *out = static_cast<int64_t>(raw);
    return true;
  }
  if (!s.cycle) return false;
  __int128 length = CycleLength(s);
  if (s.increment > 0) {
    *out = static_cast<int64_t>(s.minimum + (raw - s.maximum - 1) % length);
  } else {
    *out = static_cast<int64_t>(s.maximum - (s.minimum - 1 - raw) % length);
  }
  return true;
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

  uint64_t block = std::max<uint64_t>(count, static_cast<uint64_t>(info.cache));
  __int128 by = static_cast<__int128>(info.increment) * block;
  if (by > INT64_MAX || by < INT64_MIN) co_return RanOut(*table);
  absl::StatusOr<int64_t> counter =
      co_await catalog_->database().Increment(ctx, catalog_->layout().Sequence(table->id), static_cast<int64_t>(by));
  if (!counter.ok()) {
    if (counter.status().code() == absl::StatusCode::kOutOfRange) co_return RanOut(*table);
    co_return counter.status();
  }
  // counter + start - increment is the block's last value.
  __int128 last = static_cast<__int128>(*counter) + info.start - info.increment;
  __int128 first = last - by + info.increment;
  int64_t first_value = 0, last_value = 0;
  bool first_ok = ValueAt(info, first, &first_value), last_ok = ValueAt(info, last, &last_value);
  State& again = states_[sequence];
  if (first_ok && last_ok && (last_value - first_value) == static_cast<int64_t>(by - info.increment)) {
    again.next = first_value;
    again.left = block;
    co_return absl::OkStatus();
  }
  // The block passes a bound: it may only be used up to there.
  if (!first_ok) co_return RanOut(*table);
  uint64_t usable = 0;
  int64_t bound = info.increment > 0 ? info.maximum : info.minimum;
  usable = static_cast<uint64_t>((static_cast<__int128>(bound) - first_value) / info.increment) + 1;
  again.next = first_value;
  again.left = std::min(usable, block);
  // CYCLE within one block, or fewer values than asked for: whoever takes one too many hears of it in Next().
  co_return absl::OkStatus();
}

absl::StatusOr<int64_t> SessionSequences::Next(Oid sequence) {
  auto it = states_.find(sequence);
  if (it == states_.end() || it->second.left == 0) {
    TablePtr table = snapshot_ == nullptr ? nullptr : snapshot_->FindTableByOid(sequence);
    if (table == nullptr) return NoSuchSequence(sequence);
    if (it != states_.end() && table->sequence) return RanOut(*table);
    return absl::InternalError("nextval without a reservation");
  }
  TablePtr table = snapshot_->FindTableByOid(sequence);
  if (table == nullptr || !table->sequence) return NoSuchSequence(sequence);
  State& state = it->second;
  int64_t value = state.next;
  state.next = static_cast<int64_t>(static_cast<uint64_t>(state.next) + static_cast<uint64_t>(table->sequence->increment));
  --state.left;
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
  pending_.push_back({sequence, value, is_called});
  return absl::OkStatus();
}

Task<absl::Status> SessionSequences::Flush(const Context& ctx) {
  std::vector<PendingSet> pending = std::move(pending_);
  pending_.clear();
  for (const PendingSet& p : pending) {
    TablePtr table = snapshot_->FindTableByOid(p.sequence);
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

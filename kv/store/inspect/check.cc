#include "kv/store/inspect/check.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "kv/mvcc/mvcc.h"
#include "kv/store/consistency.h"
#include "kv/store/inspect/log_scan.h"
#include "kv/store/inspect/rows.h"

namespace insula::kv {
namespace {

constexpr uint64_t kReadEntries = 4 << 20;  // bytes at a time

std::string_view NameOf(RecordType type) {
  switch (type) {
    case RecordType::kEntry:
    case RecordType::kMovedEntry: return "entry";
    case RecordType::kHardState: return "hard state";
    case RecordType::kTruncate: return "truncation";
    case RecordType::kReset: return "reset";
    case RecordType::kReplica: return "replica id";
    case RecordType::kTombstone: return "tombstone";
    case RecordType::kRedo:
    case RecordType::kRedoDone: return "redo record";
    case RecordType::kMeta: return "named value of the store";
  }
  return "record of a kind that is not known";
}

std::string RangeName(RangeId id) { return StrCat("range ", id); }

class Checker {
 public:
  explicit Checker(StoreView& view) : view_(view) {}

  CheckReport Run() {
    Log();
    Redos();
    Tables();
    auto ids = view_.Ranges();
    if (!ids.ok()) Damage(StoreStateDir(view_.dir()), std::string(ids.status().message()), ReplaceStore());
    if (ids.ok()) {
      for (RangeId id : *ids) Range(id);
    }
    Bounds();
    return std::move(report_);
  }

 private:
  std::string ReplaceStore() const {
    const uint64_t node = view_.ident().node_id;
    return StrCat("keep a copy of ", view_.dir(), " for inspection, do not start node ", node, " on it again, and replace the node: insula node decommission ", node, ", then insula node add");
  }
  std::string ReplaceReplica() const {
    return StrCat("keep a copy of ", view_.dir(), " for inspection; start node ", view_.ident().node_id, ": this replica takes no part any more, and its range replaces it from the others");
  }
  static std::string NewerProgram() { return "use the program that wrote it, or a newer one"; }

  void Note(std::string where, std::string what) { report_.findings.push_back({.severity = Finding::Severity::kNote, .where = std::move(where), .what = std::move(what), .advice = ""}); }
  void Damage(std::string where, std::string what, std::string advice) {
    report_.findings.push_back({.severity = Finding::Severity::kDamage, .where = std::move(where), .what = std::move(what), .advice = std::move(advice)});
  }
  // What does not parse is damaged, or of a newer program.
  void Damage(std::string where, const absl::Status& why, const std::string& advice) {
    const bool newer = absl::IsFailedPrecondition(why) || absl::IsUnimplemented(why);
    Damage(std::move(where), absl::CHexEscape(why.message()), newer ? NewerProgram() : advice);
  }

  void Log() {
    if (!view_.log_status().ok()) Damage(StoreLogDir(view_.dir()), view_.log_status(), ReplaceStore());
    auto scan = ScanLog(view_.files(), StoreLogDir(view_.dir()), view_.ident().store_id, view_.log_status().ok() ? &view_.cuts() : nullptr);
    if (!scan.ok()) return Damage(StoreLogDir(view_.dir()), scan.status(), ReplaceStore());
    report_.segments = scan->segments;
    report_.log_bytes = scan->bytes;
    report_.log_records = scan->records;
    for (const LogFlaw& flaw : scan->flaws) Flaw(flaw);
  }

  void Flaw(const LogFlaw& flaw) {
    const std::string where = StrCat(flaw.path, " at ", flaw.offset);
    if (flaw.kind == LogFlaw::Kind::kTorn) return Note(where, StrCat("the last write was cut short by a crash, which is normal: the next start cuts ", flaw.bytes, " bytes that nobody was told of"));
    if (flaw.kind == LogFlaw::Kind::kHeader) return Damage(where, StrCat(flaw.what, flaw.bytes == 0 ? "" : StrCat("; ", flaw.bytes, " bytes cannot be read")), ReplaceStore());
    const RecordHeader& record = flaw.record;
    const std::string what = StrCat("the ", NameOf(record.type), record.index == 0 ? "" : StrCat(" ", record.index), " of range ", record.range, " is damaged (", flaw.bytes, " bytes)");
    const bool of_range = record.range != 0;
    if (of_range && view_.log_status().ok() && view_.log().Damage(record.range).ok()) {
      return Note(where, StrCat(what, ", but nothing needs it any more; this disk may be failing"));
    }
    Damage(where, what, of_range ? ReplaceReplica() : ReplaceStore());
  }

  void Redos() {
    for (const OpenRedo& open : view_.Redos()) {
      if (!open.damage.ok()) {
        Damage(StrCat("redo record ", open.id), open.damage, ReplaceStore());
        continue;
      }
      Note(StrCat("redo record ", open.id), StrCat(Describe(open.redo), " was under way: the next start finishes it"));
      under_way_.insert(open.redo.range);
      if (open.redo.right != 0) under_way_.insert(open.redo.right);
    }
  }

  void Tables() {
    if (!view_.state_status().ok()) return Damage(StoreStateDir(view_.dir()), view_.state_status(), ReplaceStore());
    for (const storage::RocksTable& table : view_.state().Tables()) {
      ++report_.tables;
      report_.table_bytes += table.bytes;
      absl::Status sound = view_.state().VerifyChecksum(table);
      if (!sound.ok()) Damage(table.path, sound, ReplaceStore());
    }
  }

  void Range(RangeId id) {
    ++report_.ranges;
    const RangeView range = view_.Range(id);
    if (!range.log_damage.ok()) Damage(RangeName(id), range.log_damage, ReplaceReplica());
    if (!range.state_damage.ok()) Damage(RangeName(id), range.state_damage, ReplaceStore());
    if (view_.log_status().ok() && range.log_damage.ok()) Entries(range);
    if (!range.loaded.has_value()) {
      if (view_.state_status().ok() && range.state_damage.ok()) Note(RangeName(id), StrCat("replica ", range.replica, " has a log and no state yet: it waits for a snapshot"));
      return;
    }
    const v1::RangeDescriptor& d = range.loaded->descriptor;
    if (!d.end_key().empty() && d.end_key() <= d.start_key()) {
      return Damage(RangeName(id), StrCat("its descriptor has no keys: ", keys::PrettyRange(d.start_key(), d.end_key())), ReplaceReplica());
    }
    bounds_.push_back({.start = d.start_key(), .end = d.end_key(), .id = id});
    Statistics(*range.loaded);
    if (absl::Status rows = view_.RowsOf(d).status(); !rows.ok()) Damage(RangeName(id), rows, ReplaceReplica());
    if (view_.log_status().ok()) Agreement(range);
  }

  void Statistics(const LoadedRange& range) {
    const v1::RangeDescriptor& d = range.descriptor;
    mvcc::Stats counted;
    auto reader = view_.state().NewReader();
    mvcc::Outcome o = mvcc::ComputeStats(*reader, d.start_key(), d.end_key(), &counted);
    if (!o.ok()) return Damage(RangeName(d.range_id()), o.status(), ReplaceReplica());
    report_.versions += static_cast<uint64_t>(counted.versions);
    if (counted == range.state.stats) return;
    Damage(RangeName(d.range_id()), StrCat("its statistics do not fit its rows. Kept: ", mvcc::ToString(range.state.stats), "; counted: ", mvcc::ToString(counted)),
           StrCat("if no other store says the same of this range, rows are missing or too many here: have the replica replaced by decommissioning node ", view_.ident().node_id,
                  "; else only sizes are told wrong"));
  }

  // As a start looks at it (Store::CheckRange).
  void Agreement(const RangeView& range) {
    const v1::RangeDescriptor& d = range.loaded->descriptor;
    const uint64_t applied = range.loaded->state.applied_index;
    const v1::ReplicaDescriptor* replica = ReplicaOn(d, view_.ident().store_id);
    if (replica != nullptr) {
      if (absl::Status s = CheckDiverged(view_.log(), range.id, replica->replica_id()); !s.ok()) Damage(RangeName(range.id), s, ReplaceReplica());
    }
    if (under_way_.contains(range.id)) return;
    const bool removed = range.replica != 0 && range.replica < d.next_replica_id() && ReplicaOfId(d, range.replica) == nullptr;
    if (removed) return Note(RangeName(range.id), StrCat("replica ", range.replica, " was removed from the range, and waits to be told that it is not needed any more"));
    if (replica == nullptr || replica->replica_id() != range.replica) {
      return Damage(RangeName(range.id), StrCat("the log is of replica ", range.replica, ", the state of replica ", replica == nullptr ? 0 : replica->replica_id()), ReplaceReplica());
    }
    if (range.truncated_index > applied || range.last_index < applied) {
      Damage(RangeName(range.id), StrCat("the log holds entries ", range.truncated_index + 1, " to ", range.last_index, ", the state is applied up to ", applied), ReplaceReplica());
    }
  }

  void Entries(const RangeView& range) {
    for (uint64_t at = range.truncated_index + 1; at <= range.last_index;) {
      auto entries = view_.log().Entries(range.id, at, range.last_index + 1, kReadEntries);
      if (!entries.ok()) return Damage(RangeName(range.id), entries.status(), ReplaceReplica());
      for (const raft::Entry& entry : *entries) {
        EntryView shown = Explain(entry);
        if (!shown.damage.ok()) Damage(StrCat(RangeName(range.id), ", entry ", entry.index), shown.damage, ReplaceReplica());
      }
      report_.entries += entries->size();
      at += entries->size();
    }
  }

  void Bounds() {
    if (!view_.state_status().ok()) return;
    std::sort(bounds_.begin(), bounds_.end(), [](const Bound& a, const Bound& b) { return a.start < b.start; });
    std::string covered;  // from the first key up to here
    for (size_t i = 0; i < bounds_.size(); ++i) {
      const Bound& b = bounds_[i];
      if (i > 0 && keys::RangesOverlap(bounds_[i - 1].start, bounds_[i - 1].end, b.start, b.end)) {
        Damage(RangeName(b.id), StrCat(keys::PrettyRange(b.start, b.end), " overlaps range ", bounds_[i - 1].id, " ", keys::PrettyRange(bounds_[i - 1].start, bounds_[i - 1].end)), ReplaceStore());
      } else if (covered < b.start) {
        Stray(covered, b.start);
      }
      covered = b.end;
      if (b.end.empty()) return;
    }
    Stray(covered, "");
  }

  // Rows of keys of no range.
  void Stray(const std::string& start, const std::string& end) {
    auto reader = view_.state().NewReader();
    for (const RowSpan& span : RowsOfKeys(start, end)) {
      auto it = reader->NewIterator({.cf = span.cf, .lower = span.start, .upper = span.end});
      it->SeekToFirst();
      if (!it->status().ok()) Damage(StoreStateDir(view_.dir()), it->status(), ReplaceStore());
      if (!it->Valid()) continue;
      Note(keys::PrettyRange(start, end), StrCat("no range of this store has these keys, yet there are rows of them; the first is ", storage::ColumnFamilyName(span.cf), " ", PrettyRow(span.cf, it->key())));
    }
  }

  struct Bound {
    std::string start, end;
    RangeId id = 0;
  };

  StoreView& view_;
  CheckReport report_;
  std::set<RangeId> under_way_;  // in an open redo
  std::vector<Bound> bounds_;
};

}  // namespace

uint64_t CheckReport::damages() const {
  return static_cast<uint64_t>(std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.severity == Finding::Severity::kDamage; }));
}

CheckReport CheckStore(StoreView& view) { return Checker(view).Run(); }

}  // namespace insula::kv

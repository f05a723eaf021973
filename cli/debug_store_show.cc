// What insula debug store prints.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/debug_store.h"
#include "kv/keys/parse.h"
#include "kv/store/inspect/check.h"
#include "kv/store/inspect/rows.h"

namespace insula::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kReadEntries = 4 << 20;  // bytes at a time

// Messages may hold what was found in damaged files.
void Print(const Json& json) { std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl; }

std::string Message(const absl::Status& s) { return kv::Readable(Sv(s.message())); }

void Line(const char* name, const std::string& text) { std::printf("%-12s%s\n", name, text.c_str()); }

Json NodeIds(const std::vector<uint64_t>& ids) {
  Json out = Json::array();
  for (uint64_t id : ids) out.push_back(id);
  return out;
}

// "1 on n1, 2 on n2 (learner)"
std::string Replicas(const kv::v1::RangeDescriptor& range) {
  std::string out;
  for (const auto& r : range.replicas()) {
    StrAppend(&out, out.empty() ? "" : ", ", r.replica_id(), " on store ", r.store_id(), r.learner() ? " (learner)" : "", r.incoming() ? " (coming)" : "", r.outgoing() ? " (going)" : "");
  }
  return out;
}
std::string Stores(const kv::v1::RangeDescriptor& range) {
  std::string out;
  for (const auto& r : range.replicas()) StrAppend(&out, out.empty() ? "" : ",", r.store_id(), r.learner() ? "L" : "");
  return out;
}

Json DescriptorJson(const kv::v1::RangeDescriptor& d) {
  Json replicas = Json::array();
  for (const auto& r : d.replicas()) {
    replicas.push_back({{"replica", r.replica_id()}, {"node", r.node_id()}, {"store", r.store_id()}, {"learner", r.learner()}, {"incoming", r.incoming()}, {"outgoing", r.outgoing()}});
  }
  return {{"start", kv::keys::Pretty(d.start_key())}, {"start_hex", kv::Hex(d.start_key())}, {"end", d.end_key().empty() ? "/Max" : kv::keys::Pretty(d.end_key())}, {"end_hex", kv::Hex(d.end_key())},
          {"generation", d.generation()}, {"next_replica", d.next_replica_id()}, {"replicas", replicas}};
}

// What is wrong with a range, or what it waits for; empty: nothing.
std::string Trouble(const kv::RangeView& r) {
  if (!r.log_damage.ok()) return Message(r.log_damage);
  if (!r.state_damage.ok()) return Message(r.state_damage);
  return "";
}

Json RangeJson(const kv::RangeView& r) {
  Json out = {{"range", r.id}, {"replica", r.replica}};
  if (r.loaded.has_value()) {
    const kv::RangeState& s = r.loaded->state;
    out.update(DescriptorJson(r.loaded->descriptor));
    out["applied_index"] = s.applied_index;
    out["applied_term"] = s.applied_term;
    out["lease_index"] = s.lease_index;
    out["lease_floor"] = s.lease_floor.ToString();
    out["voters"] = NodeIds(s.conf.voters);
    out["learners"] = NodeIds(s.conf.learners);
    out["voters_outgoing"] = NodeIds(s.conf.voters_outgoing);
    out["stats"] = {{"live_keys", s.stats.live_keys}, {"live_bytes", s.stats.live_bytes}, {"versions", s.stats.versions}, {"total_bytes", s.stats.total_bytes}, {"intents", s.stats.intents},
                    {"locks", s.stats.locks}};
  }
  const auto& h = r.hard_state;
  out["term"] = h.term;
  out["vote"] = h.vote;
  out["committed_index"] = h.commit;
  out["lead"] = h.lead;
  out["lead_epoch"] = h.lead_epoch;
  out["truncated_index"] = r.truncated_index;
  out["truncated_term"] = r.truncated_term;
  out["last_index"] = r.last_index;
  out["log_bytes"] = r.entry_bytes;
  if (std::string trouble = Trouble(r); !trouble.empty()) out["damage"] = trouble;
  return out;
}

absl::StatusOr<std::vector<kv::RangeView>> AllRanges(kv::StoreView& view) {
  ASSIGN_OR_RETURN(std::vector<kv::RangeId> ids, view.Ranges());
  std::vector<kv::RangeView> out;
  for (kv::RangeId id : ids) out.push_back(view.Range(id));
  return out;
}

std::string Number(uint64_t n) { return StrCat(n); }
// Of the state engine's, which may not be known.
std::string Applied(const kv::RangeView& r) { return r.loaded.has_value() ? Number(r.loaded->state.applied_index) : "-"; }

// Why the store as a whole is not sound, as far as it was looked at; OK otherwise.
absl::Status WholeStatus(const kv::StoreView& view) {
  if (view.log_status().ok() && view.state_status().ok()) return absl::OkStatus();
  const bool log = !view.log_status().ok();
  return absl::Status((log ? view.log_status() : view.state_status()).code(),
                      StrCat("the ", log ? "log" : "state engine", " of ", view.dir(), " cannot be read (above); insula debug store ", view.dir(), " check says what to do"));
}

struct Family {
  uint64_t files = 0, bytes = 0;
};
std::map<std::string, Family> Families(kv::StoreView& view) {
  std::map<std::string, Family> out;
  if (!view.state_status().ok()) return out;
  for (const auto& table : view.state().Tables()) {
    ++out[table.family].files;
    out[table.family].bytes += table.bytes;
  }
  return out;
}

void PrintSummaryJson(kv::StoreView& view, const std::vector<kv::RangeView>& ranges) {
  const kv::StoreIdent& ident = view.ident();
  Json out = {{"path", view.dir()}, {"format", view.format()}, {"cluster", ident.cluster_id}, {"node", ident.node_id}, {"store", ident.store_id}};
  if (view.log_status().ok()) {
    const kv::LogStats stats = view.log().stats();
    out["log"] = {{"segments", stats.segments}, {"total_bytes", stats.total_bytes}, {"live_bytes", stats.live_bytes}, {"torn_bytes", view.log().recovery().torn_bytes}};
  } else {
    out["log"] = {{"damage", Message(view.log_status())}};
  }
  Json state = Json::object();
  for (const auto& [name, family] : Families(view)) state[name] = {{"files", family.files}, {"bytes", family.bytes}};
  if (!view.state_status().ok()) state["damage"] = Message(view.state_status());
  out["state"] = state;
  out["open_redos"] = Json::array();
  for (const kv::OpenRedo& redo : view.Redos()) out["open_redos"].push_back(redo.damage.ok() ? kv::Describe(redo.redo) : Message(redo.damage));
  out["ranges"] = Json::array();
  for (const kv::RangeView& r : ranges) {
    Json row = {{"range", r.id}, {"applied_index", r.loaded.has_value() ? Json(r.loaded->state.applied_index) : Json()}, {"committed_index", r.hard_state.commit}, {"last_index", r.last_index},
                {"log_bytes", r.entry_bytes}};
    if (std::string trouble = Trouble(r); !trouble.empty()) row["damage"] = trouble;
    out["ranges"].push_back(std::move(row));
  }
  Print(out);
}

std::string LogLine(kv::StoreView& view) {
  if (!view.log_status().ok()) return StrCat("cannot be read: ", Message(view.log_status()));
  const kv::LogStats stats = view.log().stats();
  std::string out = StrCat(stats.segments, stats.segments == 1 ? " segment, " : " segments, ", Size(stats.total_bytes), ", of which ", Size(stats.live_bytes), " are needed");
  if (uint64_t torn = view.log().recovery().torn_bytes; torn > 0) StrAppend(&out, "; torn end of ", torn, " bytes (normal after a crash: the next start cuts it)");
  return out;
}

std::string StateLine(kv::StoreView& view) {
  if (!view.state_status().ok()) return StrCat("cannot be read: ", Message(view.state_status()));
  std::string out;
  for (const auto& [name, family] : Families(view)) {
    StrAppend(&out, out.empty() ? "" : "; ", name == "default" ? "format" : name, ": ", family.files, family.files == 1 ? " file, " : " files, ", Size(family.bytes));
  }
  return out.empty() ? "no files" : out;
}

}  // namespace

absl::Status ShowStoreSummary(kv::StoreView& view, const DebugStoreFlags& flags) {
  ASSIGN_OR_RETURN(std::vector<kv::RangeView> ranges, AllRanges(view));
  if (flags.json) {
    PrintSummaryJson(view, ranges);
    return WholeStatus(view);
  }
  const kv::StoreIdent& ident = view.ident();
  Line("store", StrCat(ident.store_id, " of node ", ident.node_id, ", cluster ", ident.cluster_id, ", format ", view.format()));
  Line("log", LogLine(view));
  Line("state", StateLine(view));
  const auto redos = view.Redos();
  if (redos.empty()) Line("under way", "nothing");
  for (const kv::OpenRedo& redo : redos) Line("under way", redo.damage.ok() ? StrCat(kv::Describe(redo.redo), " (the next start finishes it)") : Message(redo.damage));
  const auto behind = std::count_if(ranges.begin(), ranges.end(), [](const kv::RangeView& r) { return r.loaded.has_value() && r.loaded->state.applied_index < r.hard_state.commit; });
  Line("ranges", StrCat(ranges.size(), behind == 0 ? "" : StrCat("; to ", behind, " of them the next start applies committed entries that were not flushed")));
  std::printf("\n%-8s %-10s %-10s %-10s %-10s %s\n", "RANGE", "APPLIED", "COMMITTED", "LAST", "LOG", "STATE");
  for (const kv::RangeView& r : ranges) {
    const std::string trouble = Trouble(r);
    std::printf("%-8llu %-10s %-10s %-10s %-10s %s\n", static_cast<unsigned long long>(r.id), Applied(r).c_str(), Number(r.hard_state.commit).c_str(), Number(r.last_index).c_str(),
                Size(r.entry_bytes).c_str(), !trouble.empty() ? trouble.c_str() : r.loaded.has_value() ? "" : "waits for a snapshot");
  }
  return WholeStatus(view);
}

absl::Status ShowStoreRanges(kv::StoreView& view, const DebugStoreFlags& flags) {
  ASSIGN_OR_RETURN(std::vector<kv::RangeView> ranges, AllRanges(view));
  // Those whose keys are not known come first.
  auto order = [](const kv::RangeView& r) { return std::tuple(r.loaded.has_value(), r.loaded.has_value() ? r.loaded->descriptor.start_key() : "", r.id); };
  std::sort(ranges.begin(), ranges.end(), [&](const kv::RangeView& a, const kv::RangeView& b) { return order(a) < order(b); });
  Json rows = Json::array();
  if (!flags.json) std::printf("%-8s %-32s %-12s %-6s %-10s %-10s %-6s %-10s %-10s %s\n", "RANGE", "START", "STORES", "GEN", "SIZE", "VERSIONS", "TERM", "APPLIED", "LAST", "STATE");
  for (const kv::RangeView& r : ranges) {
    if (flags.json) {
      rows.push_back(RangeJson(r));
      continue;
    }
    const std::string trouble = Trouble(r);
    const bool known = r.loaded.has_value();
    std::printf("%-8llu %-32s %-12s %-6s %-10s %-10s %-6s %-10s %-10s %s\n", static_cast<unsigned long long>(r.id), known ? kv::keys::Pretty(r.loaded->descriptor.start_key()).c_str() : "-",
                known ? Stores(r.loaded->descriptor).c_str() : "-", known ? Number(r.loaded->descriptor.generation()).c_str() : "-",
                known ? Size(static_cast<uint64_t>(r.loaded->state.stats.total_bytes)).c_str() : "-", known ? Number(static_cast<uint64_t>(r.loaded->state.stats.versions)).c_str() : "-",
                Number(r.hard_state.term).c_str(), Applied(r).c_str(), Number(r.last_index).c_str(), !trouble.empty() ? trouble.c_str() : known ? "" : "waits for a snapshot");
  }
  if (flags.json) Print({{"ranges", rows}});
  return WholeStatus(view);
}

namespace {

absl::Status NoRange(kv::StoreView& view, kv::RangeId id) {
  RETURN_IF_ERROR(WholeStatus(view));
  return absl::NotFoundError(StrCat("this store holds no range ", id, ": insula debug store ", view.dir(), " ranges lists those that it holds"));
}

void PrintLoaded(const kv::LoadedRange& loaded) {
  const kv::v1::RangeDescriptor& d = loaded.descriptor;
  const kv::RangeState& s = loaded.state;
  Line("keys", kv::keys::PrettyRange(d.start_key(), d.end_key()));
  Line("replicas", StrCat(Replicas(d), "; generation ", d.generation(), ", next replica ", d.next_replica_id()));
  if (d.base_keyspace() != 0) Line("base", StrCat("keyspace ", d.base_keyspace(), " at ", Timestamp{d.base_timestamp()}.ToString()));
  std::string conf = StrCat("voters ", StrJoin(s.conf.voters, ","));
  if (!s.conf.learners.empty()) StrAppend(&conf, ", learners ", StrJoin(s.conf.learners, ","));
  if (!s.conf.voters_outgoing.empty()) StrAppend(&conf, ", joint with ", StrJoin(s.conf.voters_outgoing, ","));
  Line("applied", StrCat("entry ", s.applied_index, " of term ", s.applied_term, ", lease index ", s.lease_index, "; ", conf));
  Line("statistics", kv::mvcc::ToString(s.stats));
  Line("lease", StrCat("none starts at or below ", s.lease_floor.empty() ? "0" : s.lease_floor.ToString(), "; it is the leader's (below) for as long as stores support that, and not written down"));
}

void PrintRows(const kv::RangeRows& rows) {
  Line("collected", rows.gc_threshold.empty() ? "no old versions yet" : StrCat("old versions below ", rows.gc_threshold.ToString()));
  Line("address", StrCat("written for generation ", rows.published));
  if (!rows.frozen_by.empty()) Line("frozen", StrCat("for merge ", kv::Hex(rows.frozen_by)));
  Line("rows", StrCat(rows.records, " transaction records, ", rows.outcomes, " outcomes, ", rows.aborted, " aborted transactions, ", rows.removed, " removed replicas"));
}

}  // namespace

absl::Status ShowStoreRange(kv::StoreView& view, const DebugStoreFlags& flags) {
  const kv::RangeView r = view.Range(flags.range);
  if (r.replica == 0 && r.next_replica == 0 && !r.loaded.has_value() && r.state_damage.ok()) return NoRange(view, flags.range);
  absl::StatusOr<kv::RangeRows> rows = absl::NotFoundError("");
  if (r.loaded.has_value()) rows = view.RowsOf(r.loaded->descriptor);
  if (flags.json) {
    Json out = RangeJson(r);
    if (r.next_replica != 0) out["tombstone_below"] = r.next_replica;
    if (rows.ok()) {
      out["gc_threshold"] = rows->gc_threshold.ToString();
      out["published_generation"] = rows->published;
      out["frozen_by"] = kv::Hex(rows->frozen_by);
      out["removed_replicas"] = rows->removed;
      out["aborted_transactions"] = rows->aborted;
      out["transaction_records"] = rows->records;
      out["outcomes"] = rows->outcomes;
    }
    Print(out);
  } else {
    Line("range", StrCat(r.id, r.replica == 0 ? ", no replica here" : StrCat(", replica ", r.replica)));
    if (r.loaded.has_value()) PrintLoaded(*r.loaded);
    if (rows.ok()) PrintRows(*rows);
    const auto& h = r.hard_state;
    Line("hard state", StrCat("term ", h.term, ", vote ", h.vote == 0 ? "none" : StrCat("for replica ", h.vote), ", committed ", h.commit, ", ",
                              h.lead == 0 ? std::string("no promise to a leader") : StrCat("promised to leader ", h.lead, " in epoch ", h.lead_epoch)));
    Line("log", StrCat("truncated up to ", r.truncated_index, " (term ", r.truncated_term, "), last entry ", r.last_index, ", ", Size(r.entry_bytes)));
    if (r.next_replica > r.replica) Line("tombstone", r.next_replica == kv::kNoNextReplica ? "the range has ended" : StrCat("replicas below ", r.next_replica, " are gone"));
    for (const kv::OpenRedo& redo : view.Redos()) {
      if (redo.damage.ok() && (redo.redo.range == r.id || redo.redo.right == r.id)) Line("under way", kv::Describe(redo.redo));
    }
  }
  RETURN_IF_ERROR(r.log_damage);
  RETURN_IF_ERROR(r.state_damage);
  if (r.loaded.has_value()) RETURN_IF_ERROR(rows.status());
  return WholeStatus(view);
}

// ---------------------------------------------------------------------------------------------------------------------- log

namespace {

Json EntryJson(const kv::EntryView& shown) {
  Json out = {{"index", shown.index}, {"term", shown.term}, {"type", shown.type}, {"bytes", shown.bytes}, {"lease_sequence", shown.command.lease_sequence},
              {"max_lease_index", shown.command.max_lease_index}, {"changes", shown.changes}};
  if (!shown.detail.empty()) out["detail"] = shown.detail;
  if (!shown.damage.ok()) out["damage"] = Message(shown.damage);
  return out;
}

void PrintEntry(const kv::EntryView& shown) {
  std::printf("%-10llu %-6llu %-12s %-10s %s\n", static_cast<unsigned long long>(shown.index), static_cast<unsigned long long>(shown.term), shown.type.c_str(), Size(shown.bytes).c_str(),
              shown.damage.ok() ? shown.detail.c_str() : Message(shown.damage).c_str());
  for (const std::string& change : shown.changes) std::printf("           %s\n", change.c_str());
}

}  // namespace

absl::Status ShowStoreLog(kv::StoreView& view, const DebugStoreFlags& flags) {
  if (!view.log_status().ok()) return absl::Status(view.log_status().code(), Message(view.log_status()));
  const kv::RangeView r = view.Range(flags.range);
  if (r.replica == 0) return NoRange(view, flags.range);
  const uint64_t first = std::max(flags.first_index, r.truncated_index + 1), last = std::min(flags.last_index, r.last_index);
  Json rows = Json::array();
  if (!flags.json) {
    std::printf("entries %llu to %llu of range %llu; committed up to %llu, applied and flushed up to %s\n", static_cast<unsigned long long>(r.truncated_index + 1),
                static_cast<unsigned long long>(r.last_index), static_cast<unsigned long long>(r.id), static_cast<unsigned long long>(r.hard_state.commit), Applied(r).c_str());
    std::printf("%-10s %-6s %-12s %-10s %s\n", "INDEX", "TERM", "TYPE", "SIZE", "WHAT");
  }
  absl::Status damage;
  for (uint64_t at = first; at <= last;) {
    ASSIGN_OR_RETURN(auto entries, view.log().Entries(r.id, at, last + 1, kReadEntries));
    for (const auto& entry : entries) {
      const kv::EntryView shown = kv::Explain(entry);
      if (!shown.damage.ok()) damage = shown.damage;
      if (flags.json) rows.push_back(EntryJson(shown));
      if (!flags.json) PrintEntry(shown);
    }
    at += entries.size();
  }
  if (flags.json) {
    Print({{"range", r.id}, {"truncated_index", r.truncated_index}, {"committed_index", r.hard_state.commit}, {"applied_index", r.loaded.has_value() ? Json(r.loaded->state.applied_index) : Json()},
           {"last_index", r.last_index}, {"entries", rows}});
  }
  return damage;
}

// --------------------------------------------------------------------------------------------------------------------- keys

namespace {

// Checked when it was parsed.
std::string KeyOf(const std::string& text) {
  if (!text.starts_with("0x")) return kv::keys::ParsePretty(text).value_or("");
  std::string out;
  for (size_t i = 2; i + 1 < text.size(); i += 2) out.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}
// As it can be given back.
std::string FlagOf(const std::string& key) {
  const std::string pretty = kv::keys::Pretty(key);
  return kv::keys::ParsePretty(pretty) == key && pretty.find_first_of("\\ '\"$") == std::string::npos ? pretty : StrCat("0x", kv::Hex(key));
}

std::string_view StrengthName(kv::LockStrength strength) {
  switch (strength) {
    case kv::LockStrength::kNone: return "none";
    case kv::LockStrength::kShared: return "shared";
    case kv::LockStrength::kExclusive: return "exclusive";
  }
  return "unknown";
}

Json KeyJson(const kv::KeyView& key, bool values) {
  Json out = {{"key", kv::keys::Pretty(key.key)}, {"key_hex", kv::Hex(key.key)}};
  if (key.lock.has_value()) {
    out["locks"] = Json::array();
    for (const auto& holder : key.lock->holders) {
      Json row = {{"transaction", kv::Hex(holder.txn.id())}, {"strength", StrengthName(holder.strength)}};
      if (holder.intent.has_value()) row["intent"] = {{"timestamp", holder.intent->ts.ToString()}, {"sequence", holder.intent->sequence}, {"earlier", holder.intent->history.size()}};
      out["locks"].push_back(std::move(row));
    }
    if (!key.lock_damage.ok()) out["lock_damage"] = Message(key.lock_damage);
  }
  out["versions"] = Json::array();
  for (const kv::VersionView& v : key.versions) {
    Json row = {{"timestamp", v.ts.ToString()}, {"bytes", v.value.size()}, {"deletion", v.deletion}, {"provisional", v.provisional}};
    if (v.damaged) row["damaged"] = true;
    if (!v.local.empty()) row["local_timestamp"] = v.local.ToString();
    if (values) row["value_hex"] = kv::Hex(v.value);
    out["versions"].push_back(std::move(row));
  }
  return out;
}

void PrintKey(const kv::KeyView& key, bool values) {
  std::printf("%s\n", kv::keys::Pretty(key.key).c_str());
  if (!key.lock_damage.ok()) std::printf("    lock that does not parse: %s\n", Message(key.lock_damage).c_str());
  if (key.lock.has_value()) {
    for (const auto& holder : key.lock->holders) {
      std::string line = StrCat("lock, ", StrengthName(holder.strength), ", of transaction ", kv::Hex(holder.txn.id()));
      if (holder.intent.has_value()) StrAppend(&line, ", which wrote at ", holder.intent->ts.ToString(), " (sequence ", holder.intent->sequence, ")");
      std::printf("    %s\n", line.c_str());
    }
  }
  for (const kv::VersionView& v : key.versions) {
    std::string line = StrCat(v.ts.ToString(), v.damaged ? "  not of a format that is known, " : v.deletion ? "  deletion" : "  ");
    if (!v.deletion) StrAppend(&line, v.value.size(), v.value.size() == 1 ? " byte" : " bytes");
    if (v.provisional) line += ", provisional";
    if (values && !v.deletion) StrAppend(&line, "  ", kv::Readable(v.value));
    std::printf("    %s\n", line.c_str());
  }
}

}  // namespace

absl::Status ShowStoreKeys(kv::StoreView& view, const DebugStoreFlags& flags) {
  if (!view.state_status().ok()) return absl::Status(view.state_status().code(), Message(view.state_status()));
  std::string start = KeyOf(flags.from), end = flags.to == "/Max" ? "" : KeyOf(flags.to);
  if (flags.range != 0) {
    const kv::RangeView r = view.Range(flags.range);
    RETURN_IF_ERROR(r.state_damage);
    if (!r.loaded.has_value()) return NoRange(view, flags.range);
    const kv::v1::RangeDescriptor& d = r.loaded->descriptor;
    start = std::max(start, d.start_key());
    if (end.empty() || (!d.end_key().empty() && d.end_key() < end)) end = d.end_key();
  }
  if (!end.empty() && end <= start) return absl::InvalidArgumentError(StrCat("there are no keys from ", kv::keys::Pretty(start), " to ", kv::keys::Pretty(end), ": --to must be above --from"));
  Json rows = Json::array();
  uint64_t shown = 0;
  bool damage = false;
  auto reader = view.state().NewReader();
  ASSIGN_OR_RETURN(std::optional<std::string> next, kv::VisitKeys(*reader, start, end, flags.limit, [&](const kv::KeyView& key) {
                     ++shown;
                     damage = damage || !key.lock_damage.ok() || std::any_of(key.versions.begin(), key.versions.end(), [](const auto& v) { return v.damaged; });
                     if (flags.json) rows.push_back(KeyJson(key, flags.values));
                     if (!flags.json) PrintKey(key, flags.values);
                   }));
  if (flags.json) {
    Json out = {{"keys", rows}};
    if (next.has_value()) out["next"] = StrCat("0x", kv::Hex(*next));
    Print(out);
  } else if (next.has_value()) {
    std::cerr << "insula: there are more; go on with --from " << FlagOf(*next) << std::endl;
  } else if (shown == 0) {
    std::cerr << "insula: no keys there (what was not flushed is in the log: insula debug store " << view.dir() << " log)" << std::endl;
  }
  return damage ? absl::DataLossError("what some keys hold is damaged (above)") : absl::OkStatus();
}

// -------------------------------------------------------------------------------------------------------------------- check

absl::Status ShowStoreCheck(kv::StoreView& view, const DebugStoreFlags& flags) {
  const kv::CheckReport report = kv::CheckStore(view);
  if (flags.json) {
    Json findings = Json::array();
    for (const kv::Finding& f : report.findings) {
      Json row = {{"severity", f.severity == kv::Finding::Severity::kDamage ? "damage" : "note"}, {"where", f.where}, {"what", f.what}};
      if (!f.advice.empty()) row["advice"] = f.advice;
      findings.push_back(std::move(row));
    }
    Print({{"path", view.dir()}, {"store", view.ident().store_id}, {"log", {{"segments", report.segments}, {"bytes", report.log_bytes}, {"records", report.log_records}, {"entries", report.entries}}},
           {"state", {{"files", report.tables}, {"bytes", report.table_bytes}, {"versions", report.versions}}}, {"ranges", report.ranges}, {"damages", report.damages()}, {"findings", findings}});
  } else {
    Line("log", StrCat(report.segments, report.segments == 1 ? " segment, " : " segments, ", Size(report.log_bytes), ": ", report.log_records, " records read, ", report.entries, " live entries parsed"));
    Line("state", StrCat(report.tables, report.tables == 1 ? " file, " : " files, ", Size(report.table_bytes), " read; ", report.versions, " versions counted"));
    Line("ranges", StrCat(report.ranges));
    for (const kv::Finding& f : report.findings) {
      std::printf("\n%s  %s\n        %s\n", f.severity == kv::Finding::Severity::kDamage ? "DAMAGE" : "note  ", f.where.c_str(), f.what.c_str());
      if (!f.advice.empty()) std::printf("        what to do: %s\n", f.advice.c_str());
    }
    if (report.damages() == 0) std::printf("\nsound\n");
  }
  if (report.damages() == 0) return absl::OkStatus();
  return absl::DataLossError(StrCat(view.dir(), " is damaged: ", report.damages(), report.damages() == 1 ? " finding" : " findings"));
}

}  // namespace insula::cli

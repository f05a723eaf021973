#include "cli/debug_store.h"

#include <CLI/CLI.hpp>

#include "base/real/file_lock.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "kv/keys/parse.h"

namespace insula::cli {
namespace {

// Of CLI11: empty if it is well-formed.
std::string CheckKey(const std::string& text) {
  if (text.starts_with("0x") && text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string::npos) return "";
  if (kv::keys::ParsePretty(text).has_value()) return "";
  return StrCat("\"", text, "\" is not a key; examples: /Keyspace/7, /Keyspace/7/ab\\x01, /System/t/7, /Meta2/Keyspace/7, /Max, 0xfe0107");
}

}  // namespace

CLI::App* DebugStore::Add(const char* name, const char* help, Show show) {
  CLI::App* sub = store_->add_subcommand(name, help)->fallthrough();
  sub->callback([this, show] { show_ = show; });
  return sub;
}

DebugStore::DebugStore(CLI::App& debug)
    : store_(debug.add_subcommand("store", "the files of a store that no node uses, offline: what they hold, and whether they are sound; nothing of them is changed")), show_(ShowStoreSummary) {
  store_->add_option("PATH", flags_.path, "folder of the store: in a local cluster DATA/kv/N, else what the node was given as --store")->required();
  store_->add_flag("--json", flags_.json, "print JSON");
  store_->require_subcommand(0, 1);
  store_->footer("Without a subcommand: summary. A store that a node has open is refused: stop the node first (insula down).");

  Add("summary", "whose store it is, how large its engines are, how far each range is applied", ShowStoreSummary);
  Add("ranges", "all ranges: their keys, replicas and sizes, and where each log stands", ShowStoreRanges);
  Add("range", "all that is known of one range: descriptor, applied state, hard state, log", ShowStoreRange)->add_option("N", flags_.range, "the range's id")->required()->check(CLI::PositiveNumber);

  CLI::App* log = Add("log", "the entries of a range's log, and what they write", ShowStoreLog);
  log->add_option("--range", flags_.range, "the range's id")->required()->check(CLI::PositiveNumber);
  log->add_option("--from", flags_.first_index, "first index; default: the first that is there");
  log->add_option("--to", flags_.last_index, "last index; default: the last that is there");

  CLI::App* keys = Add("keys", "versions and locks of keys, as far as they are flushed", ShowStoreKeys);
  const CLI::Validator key(CheckKey, "KEY");
  keys->add_option("--from", flags_.from, "first key, as it is shown or as 0x and hexadecimal digits; default: the first")->check(key);
  keys->add_option("--to", flags_.to, "key to end before; default: none")->check(key);
  keys->add_option("--range", flags_.range, "only keys of this range")->check(CLI::PositiveNumber);
  keys->add_option("--limit", flags_.limit, "show so many keys")->check(CLI::Range(1, 1000000))->capture_default_str();
  keys->add_flag("--values", flags_.values, "show the values too; they are users' data");

  Add("check", "read everything and verify it: checksums, statistics, bounds of ranges, log against state; exit code 1 on damage", ShowStoreCheck);
}

bool DebugStore::chosen() const { return store_->parsed(); }

int DebugStore::Run() {
  return RunOnLoop([&](Context, RealWorld& world) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto view, kv::StoreView::Open(world.runtime(), IsFileLocked, flags_.path));
    absl::Status shown = show_(*view, flags_);
    // Of two reasons this is the one that explains the other.
    CO_RETURN_IF_ERROR(view->StillUnused());
    co_return shown;
  });
}

}  // namespace insula::cli

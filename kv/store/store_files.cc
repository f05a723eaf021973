#include "kv/store/store_files.h"

#include <algorithm>
#include <charconv>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/storage/crc32c.h"

namespace insula::kv {
namespace {

constexpr std::string_view kFirstLine = "insula store";

std::string_view TakeLine(std::string_view* text) {
  size_t end = std::min(text->find('\n'), text->size());
  std::string_view line = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return line;
}

// "word number number …" after `word `; false if it is not that.
bool ParseNumbers(std::string_view line, std::string_view word, std::vector<uint64_t*> numbers) {
  if (line.substr(0, word.size()) != word) return false;
  line.remove_prefix(word.size());
  for (uint64_t* n : numbers) {
    if (line.empty() || line[0] != ' ') return false;
    line.remove_prefix(1);
    auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), *n);
    if (error != std::errc()) return false;
    line.remove_prefix(end - line.data());
  }
  return line.empty();
}

}  // namespace

std::string StoreFile(const std::string& dir) { return dir + "/STORE"; }
std::string StoreLogDir(const std::string& dir) { return dir + "/log"; }
std::string StoreStateDir(const std::string& dir) { return dir + "/state"; }
std::string StoreLockFile(const std::string& dir) { return dir + "/LOCK"; }

std::string EncodeStoreIdent(const StoreIdent& ident) {
  std::string out = StrCat(kFirstLine, "\nformat ", kStoreFormat, "\ncluster ", ident.cluster_id, "\nnode ", ident.node_id, "\nstore ", ident.store_id, "\n");
  for (const StoreMember& m : ident.members) StrAppend(&out, "member ", m.node_id, " ", m.store_id, "\n");
  StrAppend(&out, "checksum ", static_cast<uint64_t>(storage::Crc32c(out)), "\n");
  return out;
}

absl::StatusOr<StoreIdent> DecodeStoreIdent(std::string_view text) {
  std::string_view rest = text;
  if (TakeLine(&rest) != kFirstLine) return absl::FailedPreconditionError("the file STORE is not Insula's: choose another folder");
  uint64_t format = 0, checksum = 0;
  if (!ParseNumbers(TakeLine(&rest), "format", {&format})) return absl::DataLossError("the file STORE is damaged");
  if (format > kStoreFormat) {
    return absl::FailedPreconditionError(StrCat("the store has format ", format, "; this program knows ", kStoreFormat, ": use the program that wrote it, or a newer one"));
  }
  StoreIdent ident;
  std::string_view cluster = TakeLine(&rest);
  constexpr std::string_view kCluster = "cluster ";
  bool ok = cluster.substr(0, kCluster.size()) == kCluster && ParseNumbers(TakeLine(&rest), "node", {&ident.node_id}) && ParseNumbers(TakeLine(&rest), "store", {&ident.store_id});
  if (ok) ident.cluster_id = cluster.substr(kCluster.size());
  while (ok) {
    size_t at = text.size() - rest.size();
    std::string_view line = TakeLine(&rest);
    StoreMember m;
    if (ParseNumbers(line, "member", {&m.node_id, &m.store_id})) {
      ident.members.push_back(m);
      continue;
    }
    ok = ParseNumbers(line, "checksum", {&checksum}) && checksum == storage::Crc32c(text.substr(0, at)) && rest.empty();
    break;
  }
  if (!ok) return absl::DataLossError("the file STORE is damaged");
  return ident;
}

absl::StatusOr<StoreIdent> ReadStoreIdent(FileSystem& files, const std::string& dir) {
  ASSIGN_OR_RETURN(bool exists, files.Exists(StoreFile(dir)));
  if (!exists) {
    absl::StatusOr<std::vector<std::string>> names = files.List(dir);
    if (names.ok() && !names->empty() && *names != std::vector<std::string>{"LOCK"}) {
      return absl::FailedPreconditionError(StrCat(dir, " holds files, but no initialised store: initialise it, or choose another folder"));
    }
    return absl::FailedPreconditionError(StrCat(dir, " holds no store: initialise it first"));
  }
  ASSIGN_OR_RETURN(std::string text, files.ReadFile(StoreFile(dir)));
  absl::StatusOr<StoreIdent> ident = DecodeStoreIdent(text);
  if (!ident.ok()) return absl::Status(ident.status().code(), StrCat(dir, ": ", Sv(ident.status().message())));
  return ident;
}

}  // namespace insula::kv

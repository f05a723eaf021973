#include "kv/keys/keys.h"

#include "base/encoding/ordered.h"
#include "base/strings.h"
#include "tenant/tenant.h"

namespace insula::kv::keys {
namespace {

constexpr char kRangeIdTag = 'i';
constexpr char kAnchorTag = 'k';
// Above every key: keyspaces begin with 0xFE.
constexpr std::string_view kEndOfAllKeys = "\xff";

std::string Meta(char tag, std::string_view end_key) {
  std::string out(1, tag);
  out.append(end_key.empty() ? kEndOfAllKeys : end_key);
  return out;
}

void AppendReadable(std::string* out, std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  for (char c : bytes) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      out->push_back(c);
    } else {
      uint8_t b = static_cast<uint8_t>(c);
      StrAppend(out, "\\x", kHex[b >> 4], kHex[b & 15]);
    }
  }
}

}  // namespace

std::string Meta2Start() { return std::string(1, kMeta2Tag); }
std::string SystemStart() { return std::string(1, kSystemTag); }

std::string Meta2Key(std::string_view end_key) { return Meta(kMeta2Tag, end_key); }
std::string Meta1Key(std::string_view end_key) { return Meta(kMeta1Tag, end_key == SystemStart() ? std::string_view() : end_key); }

std::string AddressKey(std::string_view start, std::string_view end) { return IsMetaKey(start) ? Meta1Key(end) : Meta2Key(end); }

std::string AddressKeyBefore(std::string_view start) {
  if (start.empty() || start == SystemStart()) return "";
  return IsMetaKey(start) ? Meta1Key(start) : Meta2Key(start);
}

std::string LookupStart(std::string_view key) {
  std::string out(1, IsMetaKey(key) ? kMeta1Tag : kMeta2Tag);
  out.append(key);
  out.push_back('\0');  // a range that ends at `key` does not hold it
  return out;
}
std::string LookupEnd(std::string_view key) { return IsMetaKey(key) ? Meta2Start() : SystemStart(); }

bool MayJoin(std::string_view a, std::string_view b) {
  if (IsMetaKey(a) || IsMetaKey(b)) return IsMetaKey(a) && IsMetaKey(b);
  const std::string keyspaces = KeyspacePrefix(kFirstKeyspace);
  if (a < keyspaces || b < keyspaces) return a < keyspaces && b < keyspaces;
  return KeyspaceOf(a) == KeyspaceOf(b);
}

namespace {
std::string CountersEnd() { return SystemKey(static_cast<SystemTable>(static_cast<char>(SystemTable::kCounter) + 1)); }
}  // namespace

bool MaySplitAt(std::string_view key) { return key >= Meta2Start() && (IsMetaKey(key) || key == SystemStart() || key >= CountersEnd()); }

std::string NextSplitKey(std::string_view key) {
  if (key < Meta2Start()) return Meta2Start();
  if (!IsMetaKey(key) && key < CountersEnd()) return CountersEnd();
  return Next(key);
}

std::string SystemKey(SystemTable table) { return {kSystemTag, static_cast<char>(table)}; }
std::string SystemKey(SystemTable table, std::string_view name) {
  std::string out = SystemKey(table);
  AppendBytes(&out, name);
  return out;
}
std::string SystemKey(SystemTable table, uint64_t id) {
  std::string out = SystemKey(table);
  AppendUint64(&out, id);
  return out;
}
std::string GcTtlSetting(uint64_t keyspace_id) { return SystemKey(SystemTable::kSetting, StrCat(kGcTtlSetting, keyspace_id)); }
std::string GcTtlSettings() { return SystemKey(SystemTable::kSetting).append(kGcTtlSetting); }
std::string RangeIdCounter() { return SystemKey(SystemTable::kCounter, "range-id"); }
std::string KeyspaceCounter() { return SystemKey(SystemTable::kCounter, "keyspace-id"); }
std::string TenantCounter() { return SystemKey(SystemTable::kCounter, "tenant-id"); }

bool SpanInBounds(std::string_view start, std::string_view end, std::string_view key, std::string_view end_key) {
  if (!InBounds(start, end, key)) return false;
  if (end_key.empty()) return true;
  return end_key > key && (end.empty() || end_key <= end);
}

bool RangesOverlap(std::string_view a_start, std::string_view a_end, std::string_view b_start, std::string_view b_end) {
  return (b_end.empty() || a_start < b_end) && (a_end.empty() || b_start < a_end);
}

std::string Next(std::string_view key) {
  std::string out(key);
  out.push_back('\0');
  return out;
}

std::string RangeIdPrefix(RangeId range) {
  std::string out(1, kRangeIdTag);
  AppendFixed64(&out, range);
  return out;
}
std::string RangeIdKey(RangeId range, RangeField field) {
  std::string out = RangeIdPrefix(range);
  out.push_back(static_cast<char>(field));
  return out;
}
std::string RangeIdSpaceStart() { return std::string(1, kRangeIdTag); }
std::string RangeIdSpaceEnd() { return std::string(1, kRangeIdTag + 1); }

std::optional<RangeIdKeyParts> DecodeRangeIdKey(std::string_view row) {
  if (row.size() != 10 || row[0] != kRangeIdTag) return std::nullopt;
  return RangeIdKeyParts{ReadFixed64(row.data() + 1), static_cast<RangeField>(row[9])};
}

std::string AnchorKey(std::string_view anchor, AnchorField field, std::string_view txn_id) {
  std::string out(1, kAnchorTag);
  AppendBytes(&out, anchor);
  out.push_back(static_cast<char>(field));
  out.append(txn_id);
  return out;
}

std::optional<AnchorKeyParts> DecodeAnchorKey(std::string_view row) {
  if (row.empty() || row[0] != kAnchorTag) return std::nullopt;
  row.remove_prefix(1);
  auto anchor = TakeBytes(&row);
  if (!anchor.ok() || row.empty()) return std::nullopt;
  return AnchorKeyParts{*std::move(anchor), static_cast<AnchorField>(row[0]), std::string(row.substr(1))};
}

std::string AnchorSpanStart(std::string_view start) {
  std::string out(1, kAnchorTag);
  if (!start.empty()) AppendBytes(&out, start);
  return out;
}
std::string AnchorSpanEnd(std::string_view end) {
  if (end.empty()) return std::string(1, kAnchorTag + 1);
  return AnchorSpanStart(end);
}

std::string Pretty(std::string_view key) {
  if (key.empty()) return "/Min";
  std::string out;
  if (key[0] == kMeta1Tag || key[0] == kMeta2Tag) {
    out = key[0] == kMeta1Tag ? "/Meta1" : "/Meta2";
    std::string_view inner = key.substr(1);
    if (inner == kEndOfAllKeys) return out + "/Max";
    return inner.empty() ? out : out + Pretty(inner);
  }
  if (key[0] == kSystemTag) {
    out = "/System";
    if (key.size() == 1) return out;
    StrAppend(&out, "/", key[1]);
    std::string_view rest = key.substr(2);
    if (rest.empty()) return out;
    out.push_back('/');
    std::string_view in = rest;
    if (auto name = TakeBytes(&in); name.ok()) {
      AppendReadable(&out, *name);
      rest = in;
    } else if (in = rest; true) {
      if (auto id = TakeUint64(&in); id.ok()) {
        StrAppend(&out, *id);
        rest = in;
      }
    }
    AppendReadable(&out, rest);
    return out;
  }
  if (auto keyspace = KeyspaceOf(key); keyspace.has_value()) {
    out = StrCat("/Keyspace/", *keyspace);
    std::string_view rest = key.substr(KeyspacePrefix(*keyspace).size());
    if (!rest.empty()) {
      out.push_back('/');
      AppendReadable(&out, rest);
    }
    return out;
  }
  out.push_back('/');
  AppendReadable(&out, key);
  return out;
}

std::string PrettyRange(std::string_view start, std::string_view end) {
  return StrCat("[", Pretty(start), ", ", end.empty() ? "/Max" : Pretty(end), ")");
}

}  // namespace insula::kv::keys

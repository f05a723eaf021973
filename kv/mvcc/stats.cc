#include "kv/mvcc/stats.h"

#include "base/strings.h"
#include "kv/storage/varint.h"

namespace insula::kv::mvcc {
namespace {
constexpr uint64_t kFormat = 1;
}  // namespace

Stats& Stats::operator+=(const Stats& d) {
  live_keys += d.live_keys;
  live_bytes += d.live_bytes;
  versions += d.versions;
  total_bytes += d.total_bytes;
  intents += d.intents;
  locks += d.locks;
  return *this;
}

Stats& Stats::operator-=(const Stats& d) {
  live_keys -= d.live_keys;
  live_bytes -= d.live_bytes;
  versions -= d.versions;
  total_bytes -= d.total_bytes;
  intents -= d.intents;
  locks -= d.locks;
  return *this;
}

std::string ToString(const Stats& s) {
  return StrCat(s.live_keys, " live keys, ", s.live_bytes, " live bytes, ", s.versions, " versions, ", s.total_bytes, " bytes, ", s.intents, " intents, ", s.locks, " locks");
}

void AppendStats(std::string* out, const Stats& stats) {
  storage::AppendVarint(out, kFormat);
  for (int64_t v : {stats.live_keys, stats.live_bytes, stats.versions, stats.total_bytes, stats.intents, stats.locks}) storage::AppendVarint(out, storage::ZigZag(v));
}

bool TakeStats(std::string_view* in, Stats* stats) {
  uint64_t v;
  if (!storage::TakeVarint(in, &v) || v != kFormat) return false;
  for (int64_t* field : {&stats->live_keys, &stats->live_bytes, &stats->versions, &stats->total_bytes, &stats->intents, &stats->locks}) {
    if (!storage::TakeVarint(in, &v)) return false;
    *field = storage::UnZigZag(v);
  }
  return true;
}

}  // namespace insula::kv::mvcc

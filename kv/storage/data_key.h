// Keys of the `data` column family: user key ‖ 8 bytes, the inverted timestamp in big-endian order.
//
// They are ordered by user key first and newest first within it. Plain byte order would not do (a user key may be a prefix of
// another), so the column family has an order of its own, and neither side ever escapes or copies a user key.
#ifndef INSULA_KV_STORAGE_DATA_KEY_H_
#define INSULA_KV_STORAGE_DATA_KEY_H_

#include <string>
#include <string_view>

#include "base/encoding/ordered.h"
#include "base/hlc/hlc.h"

namespace insula::kv::storage {

inline constexpr size_t kDataKeySuffix = 8;

inline void AppendDataKey(std::string* out, std::string_view user_key, Timestamp ts) {
  out->append(user_key);
  AppendFixed64(out, ~ts.bits);
}
inline std::string DataKey(std::string_view user_key, Timestamp ts) {
  std::string out;
  out.reserve(user_key.size() + kDataKeySuffix);
  AppendDataKey(&out, user_key, ts);
  return out;
}
// Sorts before all versions of `user_key`: the bound of spans of user keys.
inline std::string DataKeyBound(std::string_view user_key) { return DataKey(user_key, Timestamp::Max()); }

inline std::string_view UserKey(std::string_view data_key) { return data_key.substr(0, data_key.size() - kDataKeySuffix); }
inline Timestamp VersionTimestamp(std::string_view data_key) {
  return Timestamp{~ReadFixed64(data_key.data() + data_key.size() - kDataKeySuffix)};
}

inline int CompareDataKeys(std::string_view a, std::string_view b) {
  // Only bounds from outside may be short; they count as their own user key with nothing after it.
  std::string_view ua = a.size() >= kDataKeySuffix ? UserKey(a) : a;
  std::string_view ub = b.size() >= kDataKeySuffix ? UserKey(b) : b;
  if (int c = ua.compare(ub); c != 0) return c;
  return a.substr(ua.size()).compare(b.substr(ub.size()));
}

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_DATA_KEY_H_

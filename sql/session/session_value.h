// A session as a value: what a pod writes down so that another can go on with it.
//
// Format (version 1), numbers big-endian, strings as 4-byte length and bytes:
//
//   version (1 byte) ‖ user ‖ database ‖ count ‖ (setting, value)… ‖ count ‖ (name, SQL, types)… ‖
//
// Not in it: open transactions, portals, held cursors, currval; a session that has such things stays where it is. Signing and
// binding to a tenant are not part of the value.
#ifndef INSULA_SQL_SESSION_SESSION_VALUE_H_
#define INSULA_SQL_SESSION_SESSION_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/types/type.h"

namespace insula::sql {

struct PreparedValue {
  std::string name;
  std::string sql;  // of a PREPARE: that whole statement
  std::vector<Oid> declared_types;
  bool from_sql = false;
  friend bool operator==(const PreparedValue&, const PreparedValue&) = default;
};

struct SessionValue {
  std::string user;
  std::string database;
  std::vector<std::pair<std::string, std::string>> settings;  // canonical; roles included
  std::vector<PreparedValue> prepared;
  friend bool operator==(const SessionValue&, const SessionValue&) = default;

  std::string Encode() const;
  // kInvalidArgument for garbage, kUnimplemented for a version that this program does not know.
  static absl::StatusOr<SessionValue> Decode(std::string_view bytes);
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_SESSION_VALUE_H_

// Plans of one pod, by the shape of their statements: a repeated statement costs one probe here, no parsing and no planning.
//
//   key: database ‖ settings that matter ‖ text or shape ‖ declared parameter types
//     └► variants: the same shape with other fixed literals (LIMIT 10, LIMIT 20), a few
//
// A plan is valid for the catalog version it was made against; one that is found with another version is replaced. Plans made
// inside a transaction that changed the schema are never kept.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SESSION_PLAN_CACHE_H_
#define INSULA_SQL_SESSION_PLAN_CACHE_H_

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sql/parser/normalize.h"
#include "sql/session/statement.h"

namespace insula::sql {

class PlanCache {
 public:
  explicit PlanCache(size_t max_entries = 2000) : max_entries_(max_entries) {}

  static std::string Key(std::string_view database, std::string_view plan_key, std::string_view text,
                         const std::vector<SqlType>& parameter_types);

  // The plan for this key; nullptr if there is none for this version. `shape`: the literals must fit; null: a plan of a text
  // as it is.
  PlannedPtr Find(const std::string& key, uint64_t catalog_version, const SqlShape* shape);
  // Whether the shape is known not to pay: plan its texts as they are.
  bool IsHopeless(const std::string& key) const;

  void Insert(const std::string& key, PlannedPtr planned);
  void InsertHopeless(const std::string& key);

  size_t size() const { return entries_.size(); }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  static constexpr size_t kMaxVariants = 8;
  static constexpr size_t kMaxKeyBytes = 32 << 10;
  struct Entry {
    std::vector<PlannedPtr> variants;  // newest first
    bool hopeless = false;
    std::list<std::string>::iterator used;
  };
  Entry* Touch(const std::string& key);
  Entry& Make(const std::string& key);

  size_t max_entries_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> order_;  // most recently used first
  uint64_t hits_ = 0, misses_ = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_PLAN_CACHE_H_

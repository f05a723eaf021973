#include "sql/session/plan_cache.h"

#include "base/strings.h"

namespace insula::sql {

std::string PlanCache::Key(std::string_view database, std::string_view plan_key, std::string_view text,
                           const std::vector<SqlType>& parameter_types) {
  std::string key = StrCat(database, "\x1e", plan_key, "\x1e");
  for (const SqlType& type : parameter_types) StrAppend(&key, type.oid, ",");
  StrAppend(&key, "\x1e", text);
  return key;
}

PlanCache::Entry* PlanCache::Touch(const std::string& key) {
  auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  order_.splice(order_.begin(), order_, it->second.used);
  return &it->second;
}

PlannedPtr PlanCache::Find(const std::string& key, uint64_t catalog_version, const SqlShape* shape) {
  if (Entry* entry = Touch(key)) {
    for (const PlannedPtr& planned : entry->variants) {
      if (planned->catalog_version != catalog_version) continue;
      if (shape != nullptr ? planned->literals && planned->literals->Matches(*shape) : !planned->literals) {
        ++hits_;
        return planned;
      }
    }
  }
  ++misses_;
  return nullptr;
}

bool PlanCache::IsHopeless(const std::string& key) const {
  auto it = entries_.find(key);
  return it != entries_.end() && it->second.hopeless;
}

PlanCache::Entry& PlanCache::Make(const std::string& key) {
  if (Entry* entry = Touch(key)) return *entry;
  order_.push_front(key);
  Entry& entry = entries_[key];
  entry.used = order_.begin();
  while (entries_.size() > max_entries_) {
    entries_.erase(order_.back());
    order_.pop_back();
  }
  return entry;
}

void PlanCache::Insert(const std::string& key, PlannedPtr planned) {
  if (key.size() > kMaxKeyBytes) return;
  Entry& entry = Make(key);
  uint64_t version = planned->catalog_version;
  std::erase_if(entry.variants, [version](const PlannedPtr& p) { return p->catalog_version != version; });
  entry.variants.insert(entry.variants.begin(), std::move(planned));
  if (entry.variants.size() > kMaxVariants) entry.variants.pop_back();
}

void PlanCache::InsertHopeless(const std::string& key) {
  if (key.size() <= kMaxKeyBytes) Make(key).hopeless = true;
}

}  // namespace insula::sql

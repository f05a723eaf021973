#include "base/check.h"
#include "base/strings.h"
#include "kv/mvcc/mvcc.h"
#include "kv/storage/varint.h"

namespace insula::kv::mvcc {

Outcome Outcome::Locked(std::vector<FoundLock> locks) {
  CHECK(!locks.empty());
  auto d = std::make_unique<Details>();
  d->kind = Kind::kLocked;
  d->key = locks[0].key;
  d->locks = std::move(locks);
  return Outcome(std::move(d));
}

Outcome Outcome::At(Kind kind, std::string_view key, Timestamp ts) {
  auto d = std::make_unique<Details>();
  d->kind = kind;
  d->key = key;
  d->ts = ts;
  return Outcome(std::move(d));
}

Outcome Outcome::ConditionFailed(std::string_view key, std::optional<std::string> actual) {
  auto d = std::make_unique<Details>();
  d->kind = Kind::kConditionFailed;
  d->key = key;
  d->actual = std::move(actual);
  return Outcome(std::move(d));
}

Outcome Outcome::Error(absl::Status status) {
  CHECK(!status.ok());
  auto d = std::make_unique<Details>();
  d->kind = Kind::kError;
  d->status = std::move(status);
  return Outcome(std::move(d));
}

std::string Outcome::ToString() const {
  switch (kind()) {
    case Kind::kOk: return "ok";
    case Kind::kLocked: return StrCat("locked: ", key(), " and ", locks().size() - 1, " more");
    case Kind::kWriteTooOld: return StrCat("write too old: ", key(), " has a version at ", timestamp().ToString());
    case Kind::kUncertain: return StrCat("uncertain: ", key(), " at ", timestamp().ToString());
    case Kind::kConditionFailed: return StrCat("condition failed: ", key());
    case Kind::kLockLost: return StrCat("lock lost: ", key());
    case Kind::kStaleTxn: return StrCat("stale transaction: ", key());
    case Kind::kError: return std::string(status().ToString());
  }
  return "?";
}

bool RowsCursor::Next(std::string_view* key, std::string_view* value) {
  if (rest_.empty() || !ok_) return false;
  ok_ = storage::TakeString(&rest_, key) && storage::TakeString(&rest_, value);
  return ok_;
}

}  // namespace insula::kv::mvcc

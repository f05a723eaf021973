#include "kv/storage/read_writer.h"

#include <utility>

#include "kv/storage/data_key.h"

namespace insula::kv::storage {
namespace {

int Compare(ColumnFamily cf, std::string_view a, std::string_view b) {
  return cf == ColumnFamily::kData ? CompareDataKeys(a, b) : a.compare(b);
}

// The base's entries with the changes merged in. Both sides stand on or beyond the position, in the direction of travel; when they
// stand on the same key the change wins.
class MergedIterator : public Iterator {
 public:
  // `owned` may be null: then `base` is somebody else's.
  MergedIterator(const ReadWriter::Changes* changes, IteratorOptions bounds, Iterator* base, std::unique_ptr<Iterator> owned)
      : changes_(changes), bounds_(std::move(bounds)), base_(base), owned_(std::move(owned)), change_(changes->end()) {}

  void Seek(std::string_view key) override {
    forward_ = true;
    base_->Seek(key);
    std::string_view from = !bounds_.lower.empty() && Compare(bounds_.cf, key, bounds_.lower) < 0 ? std::string_view(bounds_.lower) : key;
    change_ = changes_->lower_bound(from);
    SettleForward();
  }
  void SeekToFirst() override {
    forward_ = true;
    base_->SeekToFirst();
    change_ = bounds_.lower.empty() ? changes_->begin() : changes_->lower_bound(std::string_view(bounds_.lower));
    SettleForward();
  }
  void SeekForPrev(std::string_view key) override {
    forward_ = false;
    base_->SeekForPrev(key);
    change_ = changes_->upper_bound(key);
    if (!bounds_.upper.empty() && Compare(bounds_.cf, key, bounds_.upper) >= 0) change_ = changes_->lower_bound(std::string_view(bounds_.upper));
    StepChangeBack();
    SettleBackward();
  }
  void SeekToLast() override {
    forward_ = false;
    base_->SeekToLast();
    change_ = bounds_.upper.empty() ? changes_->end() : changes_->lower_bound(std::string_view(bounds_.upper));
    StepChangeBack();
    SettleBackward();
  }
  void Next() override {
    if (!forward_) {
      std::string here(key());
      Seek(here);
    }
    Pass();
    SettleForward();
  }
  void Prev() override {
    if (forward_) {
      std::string here(key());
      SeekForPrev(here);
    }
    Pass();
    SettleBackward();
  }
  bool Valid() const override { return at_ != At::kEnd; }
  std::string_view key() const override { return at_ == At::kBase ? base_->key() : std::string_view(change_->first); }
  std::string_view value() const override { return at_ == At::kBase ? base_->value() : std::string_view(*change_->second); }
  absl::Status status() const override { return base_->status(); }

 private:
  enum class At { kEnd, kBase, kChange };

  bool ChangeValid() const {
    return change_ != changes_->end() && (bounds_.upper.empty() || Compare(bounds_.cf, change_->first, bounds_.upper) < 0) &&
           (bounds_.lower.empty() || Compare(bounds_.cf, change_->first, bounds_.lower) >= 0);
  }
  void StepChangeBack() { change_ = change_ == changes_->begin() ? changes_->end() : std::prev(change_); }
  void StepChange() {
    if (forward_) {
      ++change_;
    } else {
      StepChangeBack();
    }
  }
  void StepBase() {
    if (forward_) {
      base_->Next();
    } else {
      base_->Prev();
    }
  }
  // Leaves the present key behind on both sides.
  void Pass() {
    if (at_ == At::kBase) {
      StepBase();
    } else {
      if (base_->Valid() && base_->key() == change_->first) StepBase();
      StepChange();
    }
  }
  void SettleForward() { Settle(1); }
  void SettleBackward() { Settle(-1); }
  void Settle(int sign) {
    for (;;) {
      bool b = base_->Valid(), c = ChangeValid();
      if (!b && !c) {
        at_ = At::kEnd;
        return;
      }
      int order = !c ? -1 : !b ? 1 : sign * Compare(bounds_.cf, base_->key(), change_->first);
      if (order < 0) {
        at_ = At::kBase;
        return;
      }
      at_ = At::kChange;
      if (change_->second.has_value()) return;
      Pass();  // deleted
    }
  }

  const ReadWriter::Changes* changes_;
  IteratorOptions bounds_;
  Iterator* base_;
  std::unique_ptr<Iterator> owned_;
  ReadWriter::Changes::const_iterator change_;
  bool forward_ = true;
  At at_ = At::kEnd;
};

}  // namespace

constexpr uint64_t kBytesPerChange = 16;  // at most, besides key and value

bool ReadWriter::Less::operator()(std::string_view a, std::string_view b) const { return Compare(cf, a, b) < 0; }

ReadWriter::ReadWriter(std::unique_ptr<Reader> base)
    : base_(std::move(base)), changes_{Changes(Less{ColumnFamily::kData}), Changes(Less{ColumnFamily::kLock}), Changes(Less{ColumnFamily::kRange})} {}
ReadWriter::~ReadWriter() = default;

void ReadWriter::Change(ColumnFamily cf, std::string_view key, std::optional<std::string> value) {
  auto [it, fresh] = changes_[static_cast<int>(cf)].try_emplace(std::string(key));
  if (fresh) bytes_ += key.size() + kBytesPerChange;
  if (it->second) bytes_ -= it->second->size();
  if (value) bytes_ += value->size();
  it->second = std::move(value);
}
void ReadWriter::Put(ColumnFamily cf, std::string_view key, std::string_view value) { Change(cf, key, std::string(value)); }
void ReadWriter::Delete(ColumnFamily cf, std::string_view key) { Change(cf, key, std::nullopt); }

absl::StatusOr<bool> ReadWriter::Get(ColumnFamily cf, std::string_view key, std::string* value) {
  const Changes& changes = changes_[static_cast<int>(cf)];
  if (!changes.empty()) {
    if (auto it = changes.find(key); it != changes.end()) {
      if (it->second.has_value()) *value = *it->second;
      return it->second.has_value();
    }
  }
  return base_->Get(cf, key, value);
}

std::unique_ptr<Iterator> ReadWriter::NewIterator(const IteratorOptions& options) {
  const Changes& changes = changes_[static_cast<int>(options.cf)];
  auto base = base_->NewIterator(options);
  if (changes.empty()) return base;
  Iterator* raw = base.get();
  return std::make_unique<MergedIterator>(&changes, options, raw, std::move(base));
}

Iterator& ReadWriter::point_iterator() {
  const Changes& changes = changes_[static_cast<int>(ColumnFamily::kData)];
  if (changes.empty()) return base_->point_iterator();
  if (!point_) point_ = std::make_unique<MergedIterator>(&changes, IteratorOptions{}, &base_->point_iterator(), nullptr);
  return *point_;
}

WriteBatch ReadWriter::ToBatch() const {
  WriteBatch batch = cleared_;
  for (int cf = 0; cf < kColumnFamilies; ++cf) {
    for (const auto& [key, value] : changes_[cf]) {
      if (value.has_value()) {
        batch.Put(static_cast<ColumnFamily>(cf), key, *value);
      } else {
        batch.Delete(static_cast<ColumnFamily>(cf), key);
      }
    }
  }
  return batch;
}

bool ReadWriter::empty() const {
  if (!cleared_.empty()) return false;
  for (const Changes& changes : changes_) {
    if (!changes.empty()) return false;
  }
  return true;
}

bool ReadWriter::ChangesVersionsOf(std::string_view user_key) const {
  const Changes& changes = changes_[static_cast<int>(ColumnFamily::kData)];
  if (changes.empty()) return false;
  auto it = changes.lower_bound(DataKeyBound(user_key));
  return it != changes.end() && UserKey(it->first) == user_key;
}

bool ReadWriter::Puts(ColumnFamily cf, std::string_view key) const {
  const Changes& changes = changes_[static_cast<int>(cf)];
  if (changes.empty()) return false;
  auto it = changes.find(key);
  return it != changes.end() && it->second.has_value();
}

void ReadWriter::Clear() {
  point_.reset();
  cleared_.Clear();
  for (Changes& changes : changes_) changes.clear();
  bytes_ = 0;
}

}  // namespace insula::kv::storage

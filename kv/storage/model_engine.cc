#include "kv/storage/model_engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/storage/data_key.h"

namespace insula::kv::storage {
namespace {

constexpr uint32_t kFormatVersion = 1;

class ModelEngine;

// Reads one set of maps. With `generation`, the state must not have moved on since.
class ModelReader : public Reader {
 public:
  ModelReader(std::shared_ptr<const ModelMaps> maps, ModelDisk* disk, const uint64_t* generation)
      : maps_(std::move(maps)), disk_(disk), generation_(generation), expected_(generation ? *generation : 0) {}
  absl::StatusOr<bool> Get(ColumnFamily cf, std::string_view key, std::string* value) override {
    CheckFresh();
    const ModelMap& map = (*maps_)[static_cast<int>(cf)];
    auto it = map.find(key);
    if (it == map.end()) return false;
    RETURN_IF_ERROR(Read(cf, key));
    *value = it->second;
    return true;
  }
  bool IsDamaged(ColumnFamily cf, const std::string& key) const { return !disk_->damaged.empty() && disk_->damaged.contains({cf, key}); }
  absl::Status Read(ColumnFamily cf, std::string_view key) const {
    if (!IsDamaged(cf, std::string(key))) return absl::OkStatus();
    ++disk_->damage_met;
    return absl::DataLossError("state engine: a row is damaged");
  }
  std::unique_ptr<Iterator> NewIterator(const IteratorOptions& options) override;
  Iterator& point_iterator() override {
    if (!point_) point_ = NewIterator({});
    return *point_;
  }
  void CheckFresh() const { CHECK(generation_ == nullptr || *generation_ == expected_) << "a reader was used after a write: take a snapshot"; }

 private:
  friend class ModelIterator;
  std::shared_ptr<const ModelMaps> maps_;
  ModelDisk* disk_;
  const uint64_t* generation_;
  uint64_t expected_;
  std::unique_ptr<Iterator> point_;
};

class ModelIterator : public Iterator {
 public:
  ModelIterator(const ModelReader* reader, IteratorOptions options)
      : reader_(reader), maps_(reader->maps_), options_(std::move(options)), map_((*maps_)[static_cast<int>(options_.cf)]), it_(map_.end()) {}
  void Seek(std::string_view key) override {
    reader_->CheckFresh();
    it_ = map_.lower_bound(!options_.lower.empty() && map_.key_comp()(key, options_.lower) ? std::string_view(options_.lower) : key);
  }
  void SeekForPrev(std::string_view key) override {
    reader_->CheckFresh();
    it_ = map_.upper_bound(key);
    if (!options_.upper.empty() && !map_.key_comp()(key, options_.upper)) it_ = map_.lower_bound(std::string_view(options_.upper));
    Back();
  }
  void SeekToFirst() override {
    reader_->CheckFresh();
    it_ = options_.lower.empty() ? map_.begin() : map_.lower_bound(std::string_view(options_.lower));
  }
  void SeekToLast() override {
    reader_->CheckFresh();
    it_ = options_.upper.empty() ? map_.end() : map_.lower_bound(std::string_view(options_.upper));
    Back();
  }
  void Next() override {
    reader_->CheckFresh();
    ++it_;
  }
  void Prev() override {
    reader_->CheckFresh();
    Back();
  }
  bool Valid() const override { return InBounds() && !reader_->IsDamaged(options_.cf, it_->first); }
  std::string_view key() const override { return it_->first; }
  std::string_view value() const override { return it_->second; }
  absl::Status status() const override { return InBounds() ? reader_->Read(options_.cf, it_->first) : absl::OkStatus(); }

 private:
  bool InBounds() const {
    if (it_ == map_.end()) return false;
    if (!options_.upper.empty() && !map_.key_comp()(it_->first, options_.upper)) return false;
    return options_.lower.empty() || !map_.key_comp()(it_->first, options_.lower);
  }
  void Back() { it_ = it_ == map_.begin() ? map_.end() : std::prev(it_); }
  const ModelReader* reader_;
  std::shared_ptr<const ModelMaps> maps_;
  IteratorOptions options_;
  const ModelMap& map_;
  ModelMap::const_iterator it_;
};

std::unique_ptr<Iterator> ModelReader::NewIterator(const IteratorOptions& options) {
  CheckFresh();
  return std::make_unique<ModelIterator>(this, options);
}

// Spans to be cleared, and what comes there.
class ModelIngestion : public Ingestion {
 public:
  void Begin(ColumnFamily cf, std::string_view start, std::string_view end) override {
    spans_.push_back({.cf = cf, .start = std::string(start), .end = std::string(end)});
    last_.clear();
  }
  Task<absl::Status> Add(const Context& ctx, WriteBatch rows) override {
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    CHECK(!spans_.empty());
    const Span& span = spans_.back();
    const DataKeyLess less{span.cf};
    WriteBatch::Cursor cursor(rows);
    WriteBatch::Change change;
    while (cursor.Next(&change)) {
      CHECK(change.op == WriteBatch::Op::kPut && change.cf == span.cf) << "only rows of the span are taken in";
      CHECK(!less(change.key, span.start) && less(change.key, span.end)) << "a row is outside of its span";
      CHECK(last_.empty() || less(last_, change.key)) << "rows are taken in in order";
      last_ = change.key;
    }
    rows_.Append(rows);
    co_return absl::OkStatus();
  }
  bool Touches(const WriteBatch& batch) const {
    WriteBatch::Cursor cursor(batch);
    WriteBatch::Change change;
    while (cursor.Next(&change)) {
      const DataKeyLess less{change.cf};
      for (const Span& span : spans_) {
        if (span.cf != change.cf || !less(change.key, span.end)) continue;
        if (change.op == WriteBatch::Op::kDeleteRange ? less(span.start, change.value) : !less(change.key, span.start)) return true;
      }
    }
    return false;
  }
  bool Clears(ColumnFamily cf, std::string_view key) const {
    return std::any_of(spans_.begin(), spans_.end(), [&](const Span& span) {
      const DataKeyLess less{cf};
      return span.cf == cf && !less(key, span.start) && less(key, span.end);
    });
  }
  void ApplyTo(ModelMaps* maps) const {
    WriteBatch all;
    for (const Span& span : spans_) all.DeleteRange(span.cf, span.start, span.end);
    all.Append(rows_);
    ApplyToMaps(all, maps);
  }

 private:
  struct Span {
    ColumnFamily cf;
    std::string start, end;
  };
  std::vector<Span> spans_;
  WriteBatch rows_;
  std::string last_;
};

class ModelEngine : public Engine {
 public:
  ModelEngine(ModelDisk* disk, ModelOptions options) : disk_(disk), options_(options), maps_(std::make_shared<ModelMaps>(disk->flushed)) {}

  absl::Status Write(const WriteBatch& batch) override {
    if (maps_.use_count() > 1) maps_ = std::make_shared<ModelMaps>(*maps_);  // a snapshot keeps the old ones
    ++generation_;
    ApplyToMaps(batch, maps_.get());
    unflushed_bytes_ += batch.byte_size();
    disk_->unflushed.push_back(batch);
    return absl::OkStatus();
  }
  std::unique_ptr<Reader> NewReader() override {
    // Not a share of the maps: Write need not copy for readers that are caught anyway.
    return std::make_unique<ModelReader>(std::shared_ptr<const ModelMaps>(std::shared_ptr<void>(), maps_.get()), disk_, &generation_);
  }
  std::unique_ptr<Reader> NewSnapshot() override { return std::make_unique<ModelReader>(maps_, disk_, nullptr); }

  Task<absl::Status> Flush(const Context& ctx) override {
    uint64_t target = flushed_count_ + disk_->unflushed.size();
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, options_.flush_time));
    if (disk_->full) co_return absl::ResourceExhaustedError("state engine: no space left on the disk");
    while (flushed_count_ < target) {
      const WriteBatch& batch = disk_->unflushed.front();
      ApplyToMaps(batch, &disk_->flushed);
      unflushed_bytes_ -= batch.byte_size();
      disk_->unflushed.pop_front();
      ++flushed_count_;
    }
    co_return absl::OkStatus();
  }
  std::unique_ptr<Ingestion> NewIngestion() override { return std::make_unique<ModelIngestion>(); }
  Task<absl::Status> Ingest(const Context& ctx, Ingestion& rows) override {
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, options_.flush_time));
    if (disk_->full) co_return absl::ResourceExhaustedError("state engine: no space left on the disk");
    const auto& ingestion = static_cast<const ModelIngestion&>(rows);
    for (const WriteBatch& batch : disk_->unflushed) {
      if (ingestion.Touches(batch)) co_return absl::FailedPreconditionError("state engine: what was written before is not flushed");
    }
    if (maps_.use_count() > 1) maps_ = std::make_shared<ModelMaps>(*maps_);
    ++generation_;
    ingestion.ApplyTo(maps_.get());
    ingestion.ApplyTo(&disk_->flushed);
    std::erase_if(disk_->damaged, [&](const auto& row) { return ingestion.Clears(row.first, row.second); });
    co_return absl::OkStatus();
  }
  uint64_t unflushed_bytes() const override { return unflushed_bytes_; }
  uint64_t damage_met() const override { return disk_->damage_met; }
  EngineFigures figures() const override { return {.write_pressure = disk_->write_pressure}; }
  absl::Status health() override { return absl::OkStatus(); }
  uint64_t ApproximateSize(std::string_view start, std::string_view end) override {
    uint64_t total = 0;
    const ModelMap& data = (*maps_)[0];
    for (auto it = data.lower_bound(DataKeyBound(start)); it != data.end(); ++it) {
      if (!end.empty() && UserKey(it->first) >= end) break;
      total += it->first.size() + it->second.size();
    }
    return total;
  }

 private:
  ModelDisk* disk_;
  ModelOptions options_;
  std::shared_ptr<ModelMaps> maps_;
  uint64_t generation_ = 0;
  uint64_t flushed_count_ = 0;
  uint64_t unflushed_bytes_ = 0;
};

}  // namespace

bool DataKeyLess::operator()(std::string_view a, std::string_view b) const { return (cf == ColumnFamily::kData ? CompareDataKeys(a, b) : a.compare(b)) < 0; }

ModelMaps EmptyModelMaps() { return {ModelMap(DataKeyLess{ColumnFamily::kData}), ModelMap(DataKeyLess{ColumnFamily::kLock}), ModelMap(DataKeyLess{ColumnFamily::kRange})}; }

void ApplyToMaps(const WriteBatch& batch, ModelMaps* maps) {
  WriteBatch::Cursor cursor(batch);
  WriteBatch::Change change;
  while (cursor.Next(&change)) {
    ModelMap& map = (*maps)[static_cast<int>(change.cf)];
    switch (change.op) {
      case WriteBatch::Op::kPut: map.insert_or_assign(std::string(change.key), std::string(change.value)); break;
      case WriteBatch::Op::kDelete:
        if (auto it = map.find(change.key); it != map.end()) map.erase(it);
        break;
      case WriteBatch::Op::kDeleteRange:
        if (map.key_comp()(change.key, change.value)) map.erase(map.lower_bound(change.key), map.lower_bound(change.value));
        break;
    }
  }
}

absl::StatusOr<std::unique_ptr<Engine>> OpenModelEngine(Random* random, ModelDisk* disk, ModelOptions options) {
  if (disk->format_version > kFormatVersion) return absl::FailedPreconditionError(StrCat("state engine of format ", disk->format_version, "; this program knows ", kFormatVersion));
  disk->format_version = kFormatVersion;
  // What the last process had not flushed: a prefix of it reached the disk.
  uint64_t keep = random->Uniform(disk->unflushed.size() + 1);
  for (uint64_t i = 0; i < keep; ++i) ApplyToMaps(disk->unflushed[i], &disk->flushed);
  disk->unflushed.clear();
  return std::make_unique<ModelEngine>(disk, options);
}

}  // namespace insula::kv::storage

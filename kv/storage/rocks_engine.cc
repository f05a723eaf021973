#include "kv/storage/rocks_engine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/wait.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/storage/data_key.h"
#include "rocksdb/cache.h"
#include "rocksdb/comparator.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/sst_file_manager.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/table_properties_collectors.h"
#include "rocksdb/write_batch.h"

namespace insula::kv::storage {
namespace {

constexpr std::string_view kFormatKey = "format";
constexpr int kFormatVersion = 1;

rocksdb::Slice Slice(std::string_view s) { return rocksdb::Slice(s.data(), s.size()); }
std::string_view View(const rocksdb::Slice& s) { return std::string_view(s.data(), s.size()); }

std::atomic<uint64_t> damage_met_by_any{0};  // engine of the process

absl::Status FromRocks(const rocksdb::Status& s) {
  if (s.ok()) return absl::OkStatus();
  std::string text = StrCat("state engine: ", s.ToString());
  if (s.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (s.IsCorruption()) {
    damage_met_by_any.fetch_add(1, std::memory_order_relaxed);
    return absl::DataLossError(text);
  }
  if (s.IsInvalidArgument()) return absl::FailedPreconditionError(text);
  if (s.IsBusy() || s.IsTryAgain() || s.IsTimedOut()) return absl::UnavailableError(text);
  return absl::InternalError(text);
}

// Order of `data` (data_key.h). Keys are never shortened in index blocks: a shortened key has no timestamp.
class DataComparator : public rocksdb::Comparator {
 public:
  int Compare(const rocksdb::Slice& a, const rocksdb::Slice& b) const override { return CompareDataKeys(View(a), View(b)); }
  bool Equal(const rocksdb::Slice& a, const rocksdb::Slice& b) const override { return a == b; }
  const char* Name() const override { return "insula.data.v1"; }
  void FindShortestSeparator(std::string*, const rocksdb::Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}
};

class UserKeyPrefix : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "insula.user_key.v1"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return rocksdb::Slice(key.data(), key.size() - kDataKeySuffix); }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() >= kDataKeySuffix; }
};

const rocksdb::Comparator* GetDataComparator() {
  static const DataComparator* comparator = new DataComparator;
  return comparator;
}

// Remembers that background work failed, and how much it did. Called on RocksDB's threads.
class WorkListener : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override { (status->IsNoSpace() ? no_space : broken) = true; }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    if (info.new_bg_error.ok()) no_space = broken = false;
  }
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) override { flushed_bytes += info.table_properties.data_size; }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) override {
    compaction_read_bytes += info.stats.total_input_bytes;
    compaction_written_bytes += info.stats.total_output_bytes;
  }
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override { stalls += info.condition.cur != rocksdb::WriteStallCondition::kNormal ? 1 : 0; }
  std::atomic<bool> no_space{false};
  std::atomic<bool> broken{false};
  std::atomic<uint64_t> flushed_bytes{0}, compaction_read_bytes{0}, compaction_written_bytes{0}, stalls{0};
};

// In the simulated world, where RocksDB's work is done on the loop: tells that a flush has ended.
class FlushListener : public rocksdb::EventListener {
 public:
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { ended.NotifyAll(); }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status*) override { ended.NotifyAll(); }
  Condition ended;
};

// The database and its handles. Blocking work shares it, so that it may outlive the engine.
struct Database {
  std::shared_ptr<rocksdb::Env> env;  // null: the real one
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kColumnFamilies> cf{};
  rocksdb::ColumnFamilyHandle* meta = nullptr;  // RocksDB's default column family: the format
  std::shared_ptr<WorkListener> work = std::make_shared<WorkListener>();
  std::shared_ptr<FlushListener> flushes;  // the simulated world only

  ~Database() {
    if (!db) return;
    for (auto* handle : cf) {
      if (handle) db->DestroyColumnFamilyHandle(handle);
    }
    if (meta) db->DestroyColumnFamilyHandle(meta);
    rocksdb::Status s = db->Close();
    if (!s.ok()) std::fprintf(stderr, "state engine: close: %s\n", s.ToString().c_str());
  }
  std::vector<rocksdb::ColumnFamilyHandle*> all() const { return {meta, cf[0], cf[1], cf[2]}; }
};

class RocksIterator : public Iterator {
 public:
  // Bounds live here because RocksDB keeps pointers to them.
  RocksIterator(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* cf, rocksdb::ReadOptions read, IteratorOptions bounds) : bounds_(std::move(bounds)) {
    lower_ = Slice(bounds_.lower);
    upper_ = Slice(bounds_.upper);
    if (!bounds_.lower.empty()) read.iterate_lower_bound = &lower_;
    if (!bounds_.upper.empty()) read.iterate_upper_bound = &upper_;
    it_.reset(db->NewIterator(read, cf));
  }
  void Seek(std::string_view key) override { it_->Seek(Slice(key)); }
  void SeekForPrev(std::string_view key) override { it_->SeekForPrev(Slice(key)); }
  void SeekToFirst() override { it_->SeekToFirst(); }
  void SeekToLast() override { it_->SeekToLast(); }
  void Next() override { it_->Next(); }
  void Prev() override { it_->Prev(); }
  bool Valid() const override { return it_->Valid(); }
  std::string_view key() const override { return View(it_->key()); }
  std::string_view value() const override { return View(it_->value()); }
  absl::Status status() const override { return FromRocks(it_->status()); }
  bool Refresh() { return it_->Refresh().ok(); }

 private:
  IteratorOptions bounds_;
  rocksdb::Slice lower_, upper_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

// Point iterators are dear to make and cheap to refresh. Kept only while nothing was flushed: one that idles would pin old files.
using PointPool = std::vector<std::unique_ptr<RocksIterator>>;
constexpr size_t kPointPoolSize = 8;
constexpr int kMostMemtables = 4;  // of a column family: one is written to, and writes slow down when as many others wait to be flushed

class RocksReader : public Reader {
 public:
  RocksReader(std::shared_ptr<Database> database, const rocksdb::Snapshot* snapshot, std::shared_ptr<PointPool> pool)
      : database_(std::move(database)), snapshot_(snapshot), pool_(std::move(pool)) {
    read_.snapshot = snapshot;
  }
  ~RocksReader() override {
    if (point_ && !snapshot_ && pool_ && pool_->size() < kPointPoolSize) pool_->push_back(std::move(point_));
    point_.reset();
    if (snapshot_) database_->db->ReleaseSnapshot(snapshot_);
  }
  absl::StatusOr<bool> Get(ColumnFamily cf, std::string_view key, std::string* value) override {
    rocksdb::PinnableSlice pinned(value);
    rocksdb::Status s = database_->db->Get(read_, database_->cf[static_cast<int>(cf)], Slice(key), &pinned);
    if (s.IsNotFound()) return false;
    if (!s.ok()) return FromRocks(s);
    if (pinned.IsPinned()) value->assign(pinned.data(), pinned.size());
    return true;
  }
  std::unique_ptr<Iterator> NewIterator(const IteratorOptions& options) override {
    rocksdb::ReadOptions read = read_;
    read.total_order_seek = true;
    return std::make_unique<RocksIterator>(database_->db.get(), database_->cf[static_cast<int>(options.cf)], read, options);
  }
  Iterator& point_iterator() override {
    if (point_) return *point_;
    while (!snapshot_ && pool_ && !pool_->empty() && !point_) {
      point_ = std::move(pool_->back());
      pool_->pop_back();
      if (!point_->Refresh()) point_.reset();
    }
    if (!point_) {
      rocksdb::ReadOptions read = read_;
      read.prefix_same_as_start = true;
      point_ = std::make_unique<RocksIterator>(database_->db.get(), database_->cf[0], read, IteratorOptions{});
    }
    return *point_;
  }

 private:
  std::shared_ptr<Database> database_;
  const rocksdb::Snapshot* snapshot_;
  std::shared_ptr<PointPool> pool_;
  rocksdb::ReadOptions read_;
  std::unique_ptr<RocksIterator> point_;
};

// `*ranges`: whether there is a range deletion.
void ToRocks(const WriteBatch& batch, const Database& database, rocksdb::WriteBatch* out, bool* ranges) {
  WriteBatch::Cursor cursor(batch);
  WriteBatch::Change change;
  while (cursor.Next(&change)) {
    auto* cf = database.cf[static_cast<int>(change.cf)];
    rocksdb::Status s;
    switch (change.op) {
      case WriteBatch::Op::kPut: s = out->Put(cf, Slice(change.key), Slice(change.value)); break;
      case WriteBatch::Op::kDelete: s = out->Delete(cf, Slice(change.key)); break;
      case WriteBatch::Op::kDeleteRange:
        s = out->DeleteRange(cf, Slice(change.key), Slice(change.value));
        *ranges = true;
        break;
    }
    CHECK(s.ok()) << s.ToString();
  }
}

// Where files lie until they are taken in.
std::string IngestFolder(const std::string& path) { return path + "/ingest"; }

// One file per span, written on pool threads. A file that is taken in becomes one of RocksDB's own.
class SpanFiles {
 public:
  SpanFiles(std::shared_ptr<Database> database, uint64_t number) : database_(std::move(database)), prefix_(StrCat(IngestFolder(database_->db->GetName()), "/", number, "-")) {}
  // What was not taken in is removed on the pool, which may be behind the engine's end. Where a call that nobody waits for any more is still
  // at work, the next start does it.
  void RemoveOn(Executor* executor) {
    if (at_work_.load(std::memory_order_acquire)) return;
    std::vector<std::string> paths;
    for (File& f : files_) {
      f.writer.reset();
      if (!f.path.empty()) paths.push_back(std::move(f.path));
    }
    if (paths.empty()) return;
    executor->RunBlocking(
        [env = database_->env, paths = std::move(paths)] {
          rocksdb::Env* files = env == nullptr ? rocksdb::Env::Default() : env.get();
          for (const std::string& path : paths) files->DeleteFile(path).PermitUncheckedError();  // gone if it was taken in
        },
        [] {});
  }
  void SetAtWork(bool at_work) { at_work_.store(at_work, std::memory_order_release); }
  void Begin(ColumnFamily cf, std::string_view start, std::string_view end) { files_.push_back({.cf = cf, .start = std::string(start), .end = std::string(end)}); }
  absl::Status Add(const WriteBatch& rows) {
    CHECK(!files_.empty());
    File& f = files_.back();
    if (f.writer == nullptr) RETURN_IF_ERROR(Open(&f));
    WriteBatch::Cursor cursor(rows);
    WriteBatch::Change change;
    while (cursor.Next(&change)) {
      CHECK(change.op == WriteBatch::Op::kPut && change.cf == f.cf) << "only rows of the span are taken in";
      RETURN_IF_ERROR(FromRocks(f.writer->Put(Slice(change.key), Slice(change.value))));
    }
    return absl::OkStatus();
  }
  absl::Status Ingest() {
    std::array<rocksdb::IngestExternalFileArg, kColumnFamilies> by_family;
    for (File& f : files_) {
      // Nothing there and nothing to come.
      if (f.writer == nullptr && !Holds(f)) continue;
      if (f.writer == nullptr) RETURN_IF_ERROR(Open(&f));
      if (!f.finished) RETURN_IF_ERROR(FromRocks(f.writer->Finish()));
      f.finished = true;
      by_family[static_cast<size_t>(f.cf)].external_files.push_back(f.path);
    }
    std::vector<rocksdb::IngestExternalFileArg> args;
    for (int i = 0; i < kColumnFamilies; ++i) {
      if (by_family[i].external_files.empty()) continue;
      by_family[i].column_family = database_->cf[i];
      by_family[i].options.move_files = true;
      by_family[i].options.failed_move_fall_back_to_copy = true;
      by_family[i].options.write_global_seqno = false;
      by_family[i].options.allow_blocking_flush = false;
      args.push_back(std::move(by_family[i]));
    }
    if (args.empty()) return absl::OkStatus();
    return FromRocks(database_->db->IngestExternalFiles(args));
  }

 private:
  struct File {
    ColumnFamily cf;
    std::string start, end, path;
    std::unique_ptr<rocksdb::SstFileWriter> writer;
    bool finished = false;
  };
  absl::Status Open(File* f) {
    auto* cf = database_->cf[static_cast<int>(f->cf)];
    const rocksdb::Options options = database_->db->GetOptions(cf);
    f->path = StrCat(prefix_, ++opened_, ".sst");
    f->writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options, cf);
    absl::Status s = FromRocks(f->writer->Open(f->path));
    // All that one file holds has one sequence number, and a deletion covers older ones only.
    if (s.ok()) s = FromRocks(f->writer->DeleteRange(Slice(f->start), Slice(f->end)));
    if (!s.ok()) f->writer.reset();
    return s;
  }
  bool Holds(const File& f) const {
    rocksdb::ReadOptions read;
    read.total_order_seek = true;
    RocksIterator it(database_->db.get(), database_->cf[static_cast<int>(f.cf)], read, {.cf = f.cf, .lower = f.start, .upper = f.end});
    it.SeekToFirst();
    return it.Valid() || !it.status().ok();
  }
  std::shared_ptr<Database> database_;
  const std::string prefix_;
  std::vector<File> files_;
  int opened_ = 0;
  std::atomic<bool> at_work_{false};
};

class RocksIngestion : public Ingestion {
 public:
  RocksIngestion(Executor* executor, std::shared_ptr<Database> database, uint64_t number) : executor_(executor), files_(std::make_shared<SpanFiles>(std::move(database), number)) {}
  ~RocksIngestion() override { files_->RemoveOn(executor_); }
  void Begin(ColumnFamily cf, std::string_view start, std::string_view end) override { files_->Begin(cf, start, end); }
  Task<absl::Status> Add(const Context& ctx, WriteBatch rows) override {
    files_->SetAtWork(true);
    return Blocking<absl::Status>(ctx, [files = files_, rows = std::move(rows)]() mutable {
      absl::Status added = files->Add(rows);
      files->SetAtWork(false);
      files.reset();  // whoever keeps this function keeps no database open
      return added;
    });
  }
  Task<absl::Status> Finish(const Context& ctx) {
    files_->SetAtWork(true);
    return Blocking<absl::Status>(ctx, [files = files_]() mutable {
      absl::Status taken = files->Ingest();
      files->SetAtWork(false);
      files.reset();
      return taken;
    });
  }

 private:
  Executor* const executor_;
  std::shared_ptr<SpanFiles> files_;
};

class RocksEngine : public Engine {
 public:
  RocksEngine(Executor* executor, std::shared_ptr<Database> database)
      : executor_(executor), database_(std::move(database)), limits_(database_->db->GetOptions()), pool_(std::make_shared<PointPool>()) {
    write_.disableWAL = true;
  }

  absl::Status Write(const WriteBatch& batch) override {
    if (batch.empty()) return absl::OkStatus();
    rocksdb::WriteBatch rocks(batch.byte_size() + 8 * batch.count() + 16);
    bool ranges = false;
    ToRocks(batch, *database_, &rocks, &ranges);
    RETURN_IF_ERROR(FromRocks(database_->db->Write(write_, &rocks)));
    // Not every version of RocksDB refreshes what an iterator knows of deleted ranges.
    if (ranges) pool_->clear();
    ++writes_;
    return absl::OkStatus();
  }
  std::unique_ptr<Reader> NewReader() override { return std::make_unique<RocksReader>(database_, nullptr, pool_); }
  std::unique_ptr<Reader> NewSnapshot() override { return std::make_unique<RocksReader>(database_, database_->db->GetSnapshot(), nullptr); }

  Task<absl::Status> Flush(const Context& ctx) override {
    const uint64_t target = writes_;
    while (flushed_ < target) {
      if (flushing_) {
        CO_RETURN_IF_ERROR(co_await flush_ended_.Wait(ctx));
        continue;
      }
      flushing_ = true;
      const uint64_t covered = writes_;
      absl::Status s = co_await (database_->flushes ? FlushInEvents(ctx) : FlushElsewhere(ctx));
      flushing_ = false;
      pool_->clear();
      if (s.ok()) flushed_ = std::max(flushed_, covered);
      flush_ended_.NotifyAll();
      CO_RETURN_IF_ERROR(s);
    }
    co_return absl::OkStatus();
  }
  std::unique_ptr<Ingestion> NewIngestion() override { return std::make_unique<RocksIngestion>(executor_, database_, ++ingestions_); }
  Task<absl::Status> Ingest(const Context& ctx, Ingestion& rows) override {
    absl::Status s = co_await static_cast<RocksIngestion&>(rows).Finish(ctx);
    pool_->clear();
    co_return s;
  }
  uint64_t unflushed_bytes() const override {
    uint64_t bytes = 0;
    if (!database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes)) return 0;
    return bytes;
  }
  absl::Status health() override {
    if (!database_->work->no_space && !database_->work->broken) return absl::OkStatus();
    bool no_space = database_->work->no_space;
    if (!database_->flushes) TryToResume();
    return no_space ? absl::ResourceExhaustedError("state engine: no space left on the disk") : absl::InternalError("state engine: background work failed");
  }
  uint64_t damage_met() const override { return damage_met_by_any.load(std::memory_order_relaxed); }
  EngineFigures figures() const override {
    const WorkListener& work = *database_->work;
    EngineFigures out{.flushed_bytes = work.flushed_bytes,
                      .compaction_read_bytes = work.compaction_read_bytes,
                      .compaction_written_bytes = work.compaction_written_bytes,
                      .stalls = work.stalls};
    using Properties = rocksdb::DB::Properties;
    rocksdb::DB* db = database_->db.get();
    db->GetAggregatedIntProperty(Properties::kLiveSstFilesSize, &out.table_bytes);
    db->GetAggregatedIntProperty(Properties::kEstimatePendingCompactionBytes, &out.pending_compaction_bytes);
    db->GetIntProperty(Properties::kNumRunningCompactions, &out.running_compactions);
    uint64_t stopped = 0;
    out.stalled = db->GetIntProperty(Properties::kIsWriteStopped, &stopped) && stopped != 0;
    std::string files;
    if (db->GetProperty(database_->cf[0], Properties::kNumFilesAtLevelPrefix + "0", &files)) out.level0_files = std::strtoull(files.c_str(), nullptr, 10);
    out.write_pressure = WritePressure();
    return out;
  }
  // Of all that RocksDB holds writes back for (its wiki: Write Stalls), the nearest.
  double WritePressure() const {
    using Properties = rocksdb::DB::Properties;
    double pressure = 0;
    for (rocksdb::ColumnFamilyHandle* cf : database_->cf) {
      uint64_t full_memtables = 0, pending = 0;
      std::string files;
      database_->db->GetIntProperty(cf, Properties::kNumImmutableMemTable, &full_memtables);
      database_->db->GetIntProperty(cf, Properties::kEstimatePendingCompactionBytes, &pending);
      database_->db->GetProperty(cf, Properties::kNumFilesAtLevelPrefix + "0", &files);
      auto nearer = [&](double now, double limit) { pressure = std::max(pressure, now / limit); };
      nearer(static_cast<double>(full_memtables), kMostMemtables - 1);
      nearer(static_cast<double>(pending), static_cast<double>(limits_.soft_pending_compaction_bytes_limit));
      nearer(std::strtod(files.c_str(), nullptr), limits_.level0_slowdown_writes_trigger);
    }
    return pressure;
  }
  uint64_t ApproximateSize(std::string_view start, std::string_view end) override {
    std::string lower = DataKeyBound(start), upper = end.empty() ? std::string(1, '\xff') : std::string(end);
    upper = DataKeyBound(upper);
    rocksdb::Range range(Slice(lower), Slice(upper));
    uint64_t size = 0;
    rocksdb::SizeApproximationOptions options;
    options.include_memtables = true;
    rocksdb::Status s = database_->db->GetApproximateSizes(options, database_->cf[0], &range, 1, &size);
    return s.ok() ? size : 0;
  }

 private:
  Task<absl::Status> FlushElsewhere(const Context& ctx) {
    return Blocking<absl::Status>(ctx, [database = database_]() mutable {
      rocksdb::FlushOptions options;
      options.allow_write_stall = true;
      absl::Status flushed = FromRocks(database->db->Flush(options, database->all()));
      database.reset();  // whoever keeps this function keeps no database open
      return flushed;
    });
  }
  // What was in memory when it began is on disk once no full memtable is left.
  Task<absl::Status> FlushInEvents(const Context& ctx) {
    rocksdb::FlushOptions options;
    options.allow_write_stall = true;
    options.wait = false;
    CO_RETURN_IF_ERROR(FromRocks(database_->db->Flush(options, database_->all())));
    for (;;) {
      uint64_t full = 0;
      if (!database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kNumImmutableMemTable, &full)) {
        co_return absl::InternalError("state engine: it does not say what is flushed");
      }
      if (full == 0) co_return absl::OkStatus();
      CO_RETURN_IF_ERROR(health());
      CO_RETURN_IF_ERROR(co_await database_->flushes->ended.Wait(ctx));
    }
  }
  // At most once a second; off the loop, as it waits for background work.
  void TryToResume() {
    MonoTime now = executor_->Now();
    if (resuming_->load() || now < next_resume_) return;
    next_resume_ = now + std::chrono::seconds(1);
    resuming_->store(true);
    executor_->RunBlocking(
        [database = database_, resuming = resuming_]() mutable {
          if (database->db->Resume().ok()) database->work->no_space = database->work->broken = false;
          database.reset();
          resuming->store(false);
        },
        [] {});
  }

  Executor* executor_;
  std::shared_ptr<Database> database_;
  const rocksdb::Options limits_;  // at which RocksDB holds writes back
  std::shared_ptr<PointPool> pool_;
  rocksdb::WriteOptions write_;
  uint64_t writes_ = 0;
  uint64_t flushed_ = 0;
  uint64_t ingestions_ = 0;
  bool flushing_ = false;
  Condition flush_ended_;
  std::shared_ptr<std::atomic<bool>> resuming_ = std::make_shared<std::atomic<bool>>(false);
  MonoTime next_resume_{};
};

// Of so many entries of a file in a row, so many deletions: 2,048 of them cost a scan about a millisecond.
constexpr size_t kDeletionWindow = 4096, kDeletionsThatMatter = 2048;

rocksdb::CompressionType FastCompression() {
  auto supported = rocksdb::GetSupportedCompressions();
  return std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end() ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

rocksdb::ColumnFamilyOptions CfOptions(ColumnFamily cf, const RocksOptions& options, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions out;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 8 << 10;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.whole_key_filtering = cf != ColumnFamily::kData;
  table.format_version = 5;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  out.write_buffer_size = cf == ColumnFamily::kData ? options.write_buffer_bytes : std::max<uint64_t>(options.write_buffer_bytes / 4, 1 << 20);
  out.max_write_buffer_number = kMostMemtables;
  out.compression = FastCompression();
  out.level_compaction_dynamic_level_bytes = true;
  if (cf == ColumnFamily::kData) {
    out.comparator = GetDataComparator();
    out.prefix_extractor = std::make_shared<UserKeyPrefix>();
    out.memtable_prefix_bloom_size_ratio = 0.05;
    // A scan walks over what was collected until a compaction has taken it away; a file that is full of it does not wait for its turn.
    out.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(kDeletionWindow, kDeletionsThatMatter));
  } else {
    out.memtable_whole_key_filtering = true;
    out.memtable_prefix_bloom_size_ratio = 0.05;
  }
  return out;
}

rocksdb::DBOptions DbOptions(const RocksOptions& options, const Database& database) {
  rocksdb::DBOptions out;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.atomic_flush = true;
  out.max_background_jobs = options.background_jobs;
  out.db_write_buffer_size = options.write_buffer_bytes;
  out.avoid_flush_during_shutdown = true;  // who stops cleanly has flushed
  out.max_open_files = 1024;
  out.max_file_opening_threads = 1;
  out.bytes_per_sync = 1 << 20;
  out.keep_log_file_num = 2;
  out.max_log_file_size = 4 << 20;
  out.info_log_level = rocksdb::WARN_LEVEL;
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.listeners.push_back(database.work);
  if (database.flushes) {
    out.listeners.push_back(database.flushes);
    return out;
  }
  rocksdb::Status s;
  out.sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default(), nullptr, "", 0, true, &s));
  return out;
}

// What the simulated world sets, among the options of the database or of a column family.
template <typename Options>
void Prepare(const RocksOptions& options, Options* out) {
  if (options.env == nullptr) return;
  rocksdb::Options all;
  static_cast<Options&>(all) = *out;
  options.prepare(&all, options.env.get());
  *out = static_cast<Options&>(all);
}

// A new database says its format at once; an older one must be ours.
absl::Status CheckFormat(Database* database, bool may_write) {
  std::string value;
  rocksdb::Status s = database->db->Get(rocksdb::ReadOptions(), database->meta, Slice(kFormatKey), &value);
  if (s.IsNotFound() && !may_write) return absl::DataLossError("the state engine does not say its format");
  if (s.IsNotFound()) {
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    RETURN_IF_ERROR(FromRocks(database->db->Put(write, database->meta, Slice(kFormatKey), std::to_string(kFormatVersion))));
    if (database->flushes) return absl::OkStatus();  // with the first flush of what it is the format of
    return FromRocks(database->db->Flush(rocksdb::FlushOptions(), database->all()));
  }
  RETURN_IF_ERROR(FromRocks(s));
  if (value != std::to_string(kFormatVersion)) {
    return absl::FailedPreconditionError(StrCat("the state engine has format ", value, "; this program knows ", kFormatVersion, ": use the program that wrote it, or a newer one"));
  }
  return absl::OkStatus();
}

// What a former process had not taken in is of no use.
absl::Status EmptyIngestFolder(rocksdb::DB* db, const std::string& path) {
  rocksdb::Env* env = db->GetEnv();
  const std::string folder = IngestFolder(path);
  RETURN_IF_ERROR(FromRocks(env->CreateDirIfMissing(folder)));
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocks(env->GetChildren(folder, &names)));
  for (const std::string& name : names) {
    if (name.ends_with(".sst")) RETURN_IF_ERROR(FromRocks(env->DeleteFile(folder + "/" + name)));
  }
  return absl::OkStatus();
}

std::vector<rocksdb::ColumnFamilyDescriptor> Families(const RocksOptions& options) {
  auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, 4);
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {{rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions()}};
  for (int i = 0; i < kColumnFamilies; ++i) {
    ColumnFamily cf = static_cast<ColumnFamily>(i);
    families.emplace_back(std::string(ColumnFamilyName(cf)), CfOptions(cf, options, cache));
  }
  for (auto& family : families) Prepare(options, &family.options);
  return families;
}

void Take(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles, Database* database) {
  database->db.reset(db);
  database->meta = handles[0];
  for (int i = 0; i < kColumnFamilies; ++i) database->cf[i] = handles[i + 1];
}

// ------------------------------------------------------------------------------------------------------------- only looking

class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Another environment, of which nothing reaches the disk. What changes nothing if it is not done is said to be done.
class ReadOnlyEnv : public rocksdb::EnvWrapper {
 public:
  explicit ReadOnlyEnv(std::shared_ptr<rocksdb::Env> env) : EnvWrapper(env == nullptr ? Env::Default() : env.get()), env_(std::move(env)) {}
  using Status = rocksdb::Status;
  Status NewWritableFile(const std::string& path, std::unique_ptr<rocksdb::WritableFile>*, const rocksdb::EnvOptions&) override { return No(path); }
  Status ReopenWritableFile(const std::string& path, std::unique_ptr<rocksdb::WritableFile>*, const rocksdb::EnvOptions&) override { return No(path); }
  Status ReuseWritableFile(const std::string& path, const std::string&, std::unique_ptr<rocksdb::WritableFile>*, const rocksdb::EnvOptions&) override { return No(path); }
  Status NewRandomRWFile(const std::string& path, std::unique_ptr<rocksdb::RandomRWFile>*, const rocksdb::EnvOptions&) override { return No(path); }
  Status NewMemoryMappedFileBuffer(const std::string& path, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override { return No(path); }
  Status NewLogger(const std::string&, std::shared_ptr<rocksdb::Logger>* out) override {
    *out = std::make_shared<SilentLogger>();
    return Status::OK();
  }
  Status DeleteFile(const std::string& path) override { return No(path); }
  Status Truncate(const std::string& path, size_t) override { return No(path); }
  Status CreateDir(const std::string& path) override { return No(path); }
  Status CreateDirIfMissing(const std::string& path) override { return FileExists(path); }
  Status DeleteDir(const std::string& path) override { return No(path); }
  Status RenameFile(const std::string& path, const std::string&) override { return No(path); }
  Status LinkFile(const std::string& path, const std::string&) override { return No(path); }
  Status LockFile(const std::string& path, rocksdb::FileLock**) override { return No(path); }

 private:
  static Status No(const std::string& path) { return Status::NotSupported("nothing is written here", path); }
  std::shared_ptr<rocksdb::Env> env_;
};

class RocksViewImpl : public RocksView {
 public:
  RocksViewImpl(std::shared_ptr<Database> database, std::vector<rocksdb::ColumnFamilyDescriptor> families) : database_(std::move(database)), families_(std::move(families)) {}
  std::unique_ptr<Reader> NewReader() override { return std::make_unique<RocksReader>(database_, nullptr, nullptr); }
  std::vector<RocksTable> Tables() override {
    std::vector<rocksdb::LiveFileMetaData> files;
    database_->db->GetLiveFilesMetaData(&files);
    std::vector<RocksTable> tables;
    for (const auto& f : files) tables.push_back({.path = f.db_path + f.name, .family = f.column_family_name, .level = f.level, .bytes = f.size});
    return tables;
  }
  absl::Status VerifyChecksum(const RocksTable& table) override {
    for (const auto& family : families_) {
      if (family.name != table.family) continue;
      rocksdb::Options options(rocksdb::DBOptions(), family.options);
      options.env = database_->db->GetEnv();
      rocksdb::SstFileReader reader(options);
      RETURN_IF_ERROR(FromRocks(reader.Open(table.path)));
      return FromRocks(reader.VerifyChecksum());
    }
    return absl::InternalError(StrCat("state engine: ", table.path, " is of no column family that is known"));
  }

 private:
  std::shared_ptr<Database> database_;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RocksView>> OpenRocksView(const std::string& path, const RocksOptions& options) {
  auto database = std::make_shared<Database>();
  database->env = std::make_shared<ReadOnlyEnv>(options.env);
  std::vector<rocksdb::ColumnFamilyDescriptor> families = Families(options);
  rocksdb::DBOptions db_options;
  Prepare(options, &db_options);
  db_options.env = database->env.get();
  db_options.info_log = std::make_shared<SilentLogger>();
  db_options.max_open_files = 1024;
  db_options.max_file_opening_threads = 1;
  rocksdb::Status there = db_options.env->FileExists(path + "/CURRENT");
  if (there.IsNotFound()) return absl::NotFoundError(StrCat("state engine: there is none in ", path, " (no file CURRENT)"));
  RETURN_IF_ERROR(FromRocks(there));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::DB::OpenForReadOnly(db_options, path, families, &handles, &db)));
  Take(db, handles, database.get());
  RETURN_IF_ERROR(CheckFormat(database.get(), /*may_write=*/false));
  return std::make_unique<RocksViewImpl>(std::move(database), std::move(families));
}

absl::StatusOr<std::unique_ptr<Engine>> OpenRocksEngine(Executor* executor, const std::string& path, const RocksOptions& options) {
  auto database = std::make_shared<Database>();
  database->env = options.env;
  if (options.env != nullptr) database->flushes = std::make_shared<FlushListener>();
  rocksdb::DBOptions db_options = DbOptions(options, *database);
  Prepare(options, &db_options);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::DB::Open(db_options, path, Families(options), &handles, &db)));
  Take(db, handles, database.get());
  RETURN_IF_ERROR(CheckFormat(database.get(), /*may_write=*/true));
  RETURN_IF_ERROR(EmptyIngestFolder(db, path));
  return std::make_unique<RocksEngine>(executor, std::move(database));
}

EngineFactory RocksEngineFactory(Executor* executor, RocksOptions options) {
  return [executor, options](const std::string& path) { return OpenRocksEngine(executor, path, options); };
}

}  // namespace insula::kv::storage

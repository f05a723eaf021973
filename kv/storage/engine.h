// The state engine of one store: three ordered maps (column families) that change in atomic batches.
//
//   auto reader = engine.NewReader();            // what is there now; use it before the next Write, without waiting between
//   auto it = reader->NewIterator({.cf = ColumnFamily::kLock, .upper = "b"});
//   for (it->Seek("a"); it->Valid(); it->Next()) Use(it->key(), it->value());
//   engine.Write(batch);                         // visible at once, durable after Flush
//
// Durability: there is no log of its own (kv/multiraft's log engine is it). After a crash the engine holds all writes up to some
// point in the order they were made: at or after the last one that a finished Flush covers. All column families, one point.
//
// Errors: kDataLoss for damage found on disk, kResourceExhausted for a full disk, kInternal else. After a failed Write nothing of
// the batch is there.
// Thread safety: loop thread only; background work (flushes, compactions) stays inside.
#ifndef INSULA_KV_STORAGE_ENGINE_H_
#define INSULA_KV_STORAGE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/storage/write_batch.h"

namespace insula::kv::storage {

struct IteratorOptions {
  ColumnFamily cf = ColumnFamily::kData;
  std::string lower;  // of the column family's own keys (for kData: DataKeyBound(user key)); empty: none
  std::string upper;  // exclusive; empty: none
};

// Positions on one entry at a time. key() and value() are valid until the iterator moves.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual void Seek(std::string_view key) = 0;         // first entry >= key
  virtual void SeekForPrev(std::string_view key) = 0;  // last entry <= key
  virtual void SeekToFirst() = 0;
  virtual void SeekToLast() = 0;
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual bool Valid() const = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // Why Valid() is false, if it is not the end.
  virtual absl::Status status() const = 0;
};

class Reader {
 public:
  virtual ~Reader() = default;
  // Whether `key` is there; fills `*value` (its memory is reused).
  virtual absl::StatusOr<bool> Get(ColumnFamily cf, std::string_view key, std::string* value) = 0;
  virtual std::unique_ptr<Iterator> NewIterator(const IteratorOptions& options) = 0;
  // An iterator over `data` that the reader keeps. After Seek it may be moved (Next) within the user key that was sought only:
  // it skips files whose filters say that the key is not there. Others' use of it ends one's own.
  virtual Iterator& point_iterator() = 0;
};

// Rows that are to take the place of whole spans: written down beside the engine first, then taken in all at once.
//
//   auto in = engine.NewIngestion();
//   in->Begin(cf, start, end);        // whatever the engine holds in [start, end) is to go
//   co_await in->Add(ctx, rows);      // in favour of these
//   co_await engine.Flush(ctx);       // what was written in these spans before
//   co_await engine.Ingest(ctx, *in);
//
// In memory there is little of it, however much is added. Not to be destroyed while a call is under way.
class Ingestion {
 public:
  virtual ~Ingestion() = default;  // what was not taken in is removed
  // The next span. Spans of one column family do not overlap.
  virtual void Begin(ColumnFamily cf, std::string_view start, std::string_view end) = 0;
  // Puts only, within the span that was begun last, in ascending order over all calls.
  virtual Task<absl::Status> Add(const Context& ctx, WriteBatch rows) = 0;
};

// How an engine's background work goes; since it was opened.
struct EngineFigures {
  uint64_t table_bytes = 0;               // of its files
  uint64_t level0_files = 0;              // many: compactions do not keep up, and writes are about to be held back
  uint64_t pending_compaction_bytes = 0;  // about
  uint64_t running_compactions = 0;
  uint64_t flushed_bytes = 0;
  uint64_t compaction_read_bytes = 0;
  uint64_t compaction_written_bytes = 0;
  uint64_t stalls = 0;                    // times that writes were slowed down or stopped
  bool stalled = false;                   // they are stopped now
  double write_pressure = 0;              // how near it is to that: at 1 it slows writes down by itself
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual absl::Status Write(const WriteBatch& batch) = 0;

  // The present state, until the next Write.
  virtual std::unique_ptr<Reader> NewReader() = 0;
  // The present state, for as long as the reader lives.
  virtual std::unique_ptr<Reader> NewSnapshot() = 0;

  // Makes everything written before the call durable, all column families at once. Several at a time share the work.
  virtual Task<absl::Status> Flush(const Context& ctx) = 0;
  virtual std::unique_ptr<Ingestion> NewIngestion() = 0;
  // Takes all of `rows` in, durably, out of the order of writes: a crash later loses writes made before, but nothing of this.
  // kFailedPrecondition when something written in its spans is not flushed. After an error nothing was taken in, and the call may be made
  // again, also with further spans. Nobody else writes in these spans meanwhile.
  virtual Task<absl::Status> Ingest(const Context& ctx, Ingestion& rows) = 0;
  // Written but not yet flushed, about.
  virtual uint64_t unflushed_bytes() const = 0;
  // For metrics: cheap enough to be asked now and then.
  virtual EngineFigures figures() const { return {}; }
  // OK, or why the engine cannot take writes now (kResourceExhausted: disk full; tried again by itself).
  virtual absl::Status health() = 0;
  // How many reads have met what the disk does not hold as it was written (kDataLoss): never falls. Reads do not wait: whoever compares
  // before and after its own sees whether they did. Not what does not parse, for which others may be to blame.
  virtual uint64_t damage_met() const = 0;
  // Bytes on disk that [start, end) of user keys takes, about.
  virtual uint64_t ApproximateSize(std::string_view start, std::string_view end) = 0;
};

// Opens (creating it if it is not there) the state engine in the folder `path`. kFailedPrecondition when its format is newer.
using EngineFactory = std::function<absl::StatusOr<std::unique_ptr<Engine>>(const std::string& path)>;

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_ENGINE_H_

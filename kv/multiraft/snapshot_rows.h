// The rows of a range as a snapshot carries them: read from the sender's engine chunk by chunk, staged at the receiver.
//
//   chunk: (column family byte, varint key length, key, varint value length, value)*, spans in the order of RowSpansOf, rows ascending
//
// Both sides count chunks, so that a stream that broke is gone on with where it was.
#ifndef INSULA_KV_MULTIRAFT_SNAPSHOT_ROWS_H_
#define INSULA_KV_MULTIRAFT_SNAPSHOT_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/multiraft/range_state.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Sender: one state of the engine, cut into chunks. The same chunks again after Rewind.
class SnapshotRows {
 public:
  // `reader` is a snapshot of the engine.
  SnapshotRows(std::unique_ptr<storage::Reader> reader, const v1::RangeDescriptor& range, size_t chunk_bytes);
  // The next chunk into `*rows` (at least `chunk_bytes`, a row more at most; the last one any size above 0). False: there is none.
  absl::StatusOr<bool> Next(std::string* rows);
  // Next gives chunk `number` next, counted from 0: one that was given, or would be next.
  absl::Status Rewind(uint64_t number);
  uint64_t next_chunk() const { return next_; }

 private:
  struct Position {
    size_t span = 0;
    std::string after;  // the last row before it; empty: the span's beginning
  };
  std::unique_ptr<storage::Reader> reader_;
  const std::vector<RowSpan> spans_;
  const size_t chunk_bytes_;
  std::vector<Position> starts_{Position{}};  // of the chunks given so far, and of the next
  uint64_t next_ = 0;
};

// Receiver: in memory while the rows are few, else in files beside the engine.
class StagedRows {
 public:
  // Up to `in_memory` bytes stay in memory.
  StagedRows(storage::Engine* engine, const v1::RangeDescriptor& range, size_t in_memory) : engine_(engine), spans_(RowSpansOf(range)), in_memory_(in_memory) {}

  // A chunk. kInvalidArgument when it does not parse, has rows that are not the range's, or out of order. After an error it is of no use.
  Task<absl::Status> Add(const Context& ctx, std::string chunk);
  // There are no more.
  Task<absl::Status> Finish(const Context& ctx);
  uint64_t chunks() const { return chunks_; }
  uint64_t bytes() const { return bytes_; }

  bool in_files() const { return files_ != nullptr; }
  // In memory: all of them, to be written behind a clearing of what was there.
  const storage::WriteBatch& rows() const { return rows_; }
  // In files. What else is to be cleared with it: spans that overlap neither each other nor the range's.
  void Clear(const RowSpan& span) { files_->Begin(span.cf, span.start, span.end); }
  // In files: storage::Engine::Ingest.
  Task<absl::Status> Ingest(const Context& ctx) { return engine_->Ingest(ctx, *files_); }

 private:
  Task<absl::Status> MoveToFiles(const Context& ctx);
  void BeginSpan();

  storage::Engine* const engine_;
  const std::vector<RowSpan> spans_;
  const size_t in_memory_;
  size_t span_ = 0;   // where the last row was
  std::string last_;  // its key
  storage::WriteBatch rows_;
  std::unique_ptr<storage::Ingestion> files_;
  uint64_t chunks_ = 0, bytes_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_SNAPSHOT_ROWS_H_

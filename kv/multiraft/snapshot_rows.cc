#include "kv/multiraft/snapshot_rows.h"

#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "kv/storage/data_key.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

using storage::ColumnFamily;

bool Less(ColumnFamily cf, std::string_view a, std::string_view b) { return (cf == ColumnFamily::kData ? storage::CompareDataKeys(a, b) : a.compare(b)) < 0; }

bool Inside(const RowSpan& span, ColumnFamily cf, std::string_view key) {
  if (span.cf != cf || (cf == ColumnFamily::kData && key.size() < storage::kDataKeySuffix)) return false;
  return !Less(cf, key, span.start) && Less(cf, key, span.end);
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------------ sending

SnapshotRows::SnapshotRows(std::unique_ptr<storage::Reader> reader, const v1::RangeDescriptor& range, size_t chunk_bytes)
    : reader_(std::move(reader)), spans_(RowSpansOf(range)), chunk_bytes_(chunk_bytes) {}

absl::StatusOr<bool> SnapshotRows::Next(std::string* rows) {
  rows->clear();
  Position at = starts_[next_];
  for (; at.span < spans_.size(); at = {.span = at.span + 1, .after = {}}) {
    const RowSpan& span = spans_[at.span];
    auto it = reader_->NewIterator({.cf = span.cf, .lower = span.start, .upper = span.end});
    if (at.after.empty()) {
      it->SeekToFirst();
    } else {
      it->Seek(at.after);
      if (it->Valid() && it->key() == at.after) it->Next();
    }
    for (; it->Valid() && rows->size() < chunk_bytes_; it->Next()) {
      rows->push_back(static_cast<char>(span.cf));
      storage::AppendString(rows, it->key());
      storage::AppendString(rows, it->value());
      at.after.assign(it->key());
    }
    RETURN_IF_ERROR(it->status());
    if (rows->size() >= chunk_bytes_) break;
  }
  if (rows->empty()) return false;
  ++next_;
  if (starts_.size() == next_) starts_.push_back(std::move(at));
  return true;
}

absl::Status SnapshotRows::Rewind(uint64_t number) {
  if (number >= starts_.size()) return absl::InvalidArgumentError("the receiver claims to have chunks that were not sent");
  next_ = number;
  return absl::OkStatus();
}

// ---------------------------------------------------------------------------------------------------------------- receiving

void StagedRows::BeginSpan() { files_->Begin(spans_[span_].cf, spans_[span_].start, spans_[span_].end); }

Task<absl::Status> StagedRows::Add(const Context& ctx, std::string chunk) {
  std::string_view rest(chunk);
  while (!rest.empty()) {
    const auto cf = static_cast<uint8_t>(rest[0]);
    rest.remove_prefix(1);
    std::string_view key, value;
    if (cf >= storage::kColumnFamilies || !storage::TakeString(&rest, &key) || !storage::TakeString(&rest, &value)) {
      co_return absl::InvalidArgumentError("rows of the snapshot do not parse");
    }
    const auto family = static_cast<ColumnFamily>(cf);
    while (!Inside(spans_[span_], family, key)) {
      if (span_ + 1 == spans_.size()) co_return absl::InvalidArgumentError("the snapshot holds a row that is not of its range, or not in order");
      if (files_ != nullptr && !rows_.empty()) CO_RETURN_IF_ERROR(co_await files_->Add(ctx, std::exchange(rows_, {})));
      ++span_;
      last_.clear();
      if (files_ != nullptr) BeginSpan();
    }
    if (!last_.empty() && !Less(family, last_, key)) co_return absl::InvalidArgumentError("rows of the snapshot are not in order");
    last_.assign(key);
    rows_.Put(family, key, value);
  }
  ++chunks_;
  bytes_ += chunk.size();
  if (files_ == nullptr && rows_.byte_size() > in_memory_) co_return co_await MoveToFiles(ctx);
  if (files_ != nullptr && !rows_.empty()) co_return co_await files_->Add(ctx, std::exchange(rows_, {}));
  co_return absl::OkStatus();
}

Task<absl::Status> StagedRows::MoveToFiles(const Context& ctx) {
  files_ = engine_->NewIngestion();
  const size_t last = span_;
  const storage::WriteBatch all = std::exchange(rows_, {});
  storage::WriteBatch::Cursor cursor(all);
  storage::WriteBatch::Change row;
  bool more = cursor.Next(&row);
  for (span_ = 0;; ++span_) {
    BeginSpan();
    storage::WriteBatch here;
    for (; more && Inside(spans_[span_], row.cf, row.key); more = cursor.Next(&row)) here.Put(row.cf, row.key, row.value);
    if (!here.empty()) CO_RETURN_IF_ERROR(co_await files_->Add(ctx, std::move(here)));
    if (span_ == last) break;
  }
  CHECK(!more) << "a staged row is in no span";
  co_return absl::OkStatus();
}

Task<absl::Status> StagedRows::Finish(const Context& ctx) {
  if (files_ == nullptr) co_return absl::OkStatus();
  while (span_ + 1 < spans_.size()) {
    ++span_;
    BeginSpan();
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv

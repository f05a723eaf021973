#include "sql/session/portal.h"

#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"

namespace insula::sql {

RowSource::RowSource(std::unique_ptr<QueryRun> run, bool keep_all) : run_(std::move(run)), keep_all_(keep_all) {}

RowSource::RowSource(Batch rows) {
  kept_rows_ = rows.rows;
  starts_.push_back(0);
  kept_.push_back(std::move(rows));
}

void RowSource::Finish() {
  affected_ = run_->rows_affected();
  run_->Close();
  run_.reset();
}

absl::Status RowSource::Keep(const Batch& batch, size_t begin) {
  if (begin >= batch.rows) return absl::OkStatus();
  Batch copy;
  copy.Slice(batch, begin, batch.rows - begin);
  kept_bytes_ += copy.MemoryUsage();
  if (kept_bytes_ > MemoryAccount::kDefaultLimit) {
    return PgErrorBuilder(sqlstate::kOutOfMemory, "out of memory").Detail("The rows kept for a cursor take too much memory.").Build();
  }
  starts_.push_back(kept_rows_);
  kept_rows_ += copy.rows;
  kept_.push_back(std::move(copy));
  return absl::OkStatus();
}

Task<absl::StatusOr<bool>> RowSource::KeepMore(const Context& ctx) {
  if (run_ == nullptr) co_return false;
  CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run_->Next(ctx));
  if (batch == nullptr) {
    Finish();
    co_return false;
  }
  CO_RETURN_IF_ERROR(Keep(*batch, 0));
  co_return true;
}

Task<absl::Status> RowSource::ReadAll(const Context& ctx) {
  for (;;) {
    CO_ASSIGN_OR_RETURN(bool more, co_await KeepMore(ctx));
    if (!more) co_return absl::OkStatus();
  }
}

Task<absl::Status> RowSource::Drain(const Context& ctx) {
  if (run_ == nullptr) co_return absl::OkStatus();
  if (current_ != nullptr) {
    CO_RETURN_IF_ERROR(Keep(*current_, offset_));
    current_ = nullptr;
  }
  co_return co_await ReadAll(ctx);
}

Task<absl::StatusOr<RowSource::Slice>> RowSource::Next(const Context& ctx, size_t max) {
  if (keep_all_) {
    CO_ASSIGN_OR_RETURN(bool row, co_await Seek(ctx, position_ + 1));
    if (!row) co_return Slice();
    Slice slice = Here();
    slice.end = slice.begin + std::min(slice.batch->rows - slice.begin, max);
    position_ += static_cast<int64_t>(slice.end - slice.begin) - 1;
    co_return slice;
  }
  if (run_ != nullptr) {
    if (current_ == nullptr) {
      CO_ASSIGN_OR_RETURN(current_, co_await run_->Next(ctx));
      offset_ = 0;
      if (current_ == nullptr) {
        Finish();
        co_return Slice();
      }
    }
    Slice slice{current_, offset_, offset_ + std::min(current_->rows - offset_, max)};
    offset_ = slice.end;
    if (offset_ == current_->rows) current_ = nullptr;  // its rows stay valid until the next call
    co_return slice;
  }
  if (next_ >= kept_rows_) co_return Slice();
  size_t i = std::upper_bound(starts_.begin(), starts_.end(), next_) - starts_.begin() - 1;
  size_t begin = next_ - starts_[i];
  Slice slice{&kept_[i], begin, begin + std::min(kept_[i].rows - begin, max)};
  next_ += slice.end - slice.begin;
  co_return slice;
}

Task<absl::StatusOr<bool>> RowSource::Seek(const Context& ctx, int64_t position) {
  while (position > static_cast<int64_t>(kept_rows_)) {
    CO_ASSIGN_OR_RETURN(bool more, co_await KeepMore(ctx));
    if (!more) break;
  }
  position_ = std::clamp<int64_t>(position, 0, static_cast<int64_t>(kept_rows_) + 1);
  co_return position_ >= 1 && position_ <= static_cast<int64_t>(kept_rows_);
}

RowSource::Slice RowSource::Here() const {
  size_t row = static_cast<size_t>(position_ - 1);
  size_t i = std::upper_bound(starts_.begin(), starts_.end(), row) - starts_.begin() - 1;
  return {&kept_[i], row - starts_[i], row - starts_[i] + 1};
}

}  // namespace insula::sql

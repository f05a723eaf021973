// Rows of a stored table by one of its indexes: point reads, ranges, whole scans; with row locks.
//
//   point    keys ──► GetMany ──► rows                       (locked by the read itself)
//   ranges   pages of entries ──► rows ──► filter ──► (rows that pass: read again under the lock, filtered again)
//
// Under a lock only rows that pass the filter are locked, as in PostgreSQL, and a row counts as it is when it is locked.
#include <algorithm>
#include <optional>

#include "base/check.h"
#include "sql/exec/key_ranges.h"
#include "sql/exec/operator.h"
#include "sql/exec/row_fetcher.h"

namespace insula::sql {
namespace {

constexpr size_t kPointChunk = 256;

class IndexScanOperator : public Operator {
 public:
  IndexScanOperator(ExecState* state, const PhysicalNode& node)
      : Operator(state, node),
        scan_(node.As<PhysicalIndexScan>()),
        fetcher_(state, scan_.table, scan_.index, scan_.columns, scan_.lock),
        ranges_of_(fetcher_.codec(), scan_.index, scan_.spans),
        filter_(scan_.filter),
        limit_(scan_.limit) {}

  Task<absl::Status> Open(const Context& ctx) override {
    CO_ASSIGN_OR_RETURN(left_, co_await EvaluateLimit(ctx, state_, limit_, false));
    next_range_ = next_key_ = next_row_ = 0;
    page_.reset();
    rest_.reset();
    rows_read_ = 0;
    if (scan_.point) {
      CO_RETURN_IF_ERROR(ranges_of_.ComputePoints(state_->eval, &keys_));
      if (scan_.reverse) std::reverse(keys_.begin(), keys_.end());
    } else {
      CO_RETURN_IF_ERROR(ranges_of_.Compute(state_->eval, &ranges_));
    }
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (left_ != 0) {
      EXEC_YIELD(ctx);
      bool more = false;
      if (scan_.point) {
        CO_ASSIGN_OR_RETURN(more, co_await ReadPoints(ctx));
      } else {
        CO_ASSIGN_OR_RETURN(more, co_await ReadEntries(ctx));
      }
      if (!more) break;
      if (out_.rows == 0) continue;
      Batch* result = &out_;
      if (left_) {
        if (result->rows > *left_) {
          for (auto& c : result->columns) c.Truncate(static_cast<size_t>(*left_));
          result->rows = static_cast<size_t>(*left_);
        }
        *left_ -= result->rows;
      }
      co_return result;
    }
    co_return nullptr;
  }

  void Close() override {
    page_.reset();
    out_ = Batch();
  }

 private:
  // Rows of the next keys into out_; false at the end.
  Task<absl::StatusOr<bool>> ReadPoints(const Context& ctx) {
    if (next_key_ >= keys_.size()) co_return false;
    size_t end = std::min(keys_.size(), next_key_ + kPointChunk);
    std::vector<std::string> chunk(std::make_move_iterator(keys_.begin() + next_key_), std::make_move_iterator(keys_.begin() + end));
    next_key_ = end;
    CO_RETURN_IF_ERROR(co_await fetcher_.FetchByUniqueKey(ctx, std::move(chunk), &out_, &found_));
    CO_RETURN_IF_ERROR(Filter(nullptr));
    co_return true;
  }

  // Rows of the next entries into out_ (perhaps none); false at the end.
  Task<absl::StatusOr<bool>> ReadEntries(const Context& ctx) {
    CO_ASSIGN_OR_RETURN(bool more, co_await NextPage(ctx));
    if (!more) co_return false;
    size_t n = std::min(kBatchRows, page_->rows().size() - next_row_);
    size_t begin = next_row_;
    std::span<const kv::ScanPage::Row> entries(page_->rows().data() + begin, n);
    next_row_ += n;
    rows_read_ += n;
    bool lock_now = fetcher_.locks() && filter_.empty();
    if (locked_by_scan()) {  // the page was read under the lock
      CO_RETURN_IF_ERROR(co_await fetcher_.FetchByEntries(ctx, entries, false, nullptr, &out_, &found_));
      co_return true;
    }
    CO_RETURN_IF_ERROR(co_await fetcher_.FetchByEntries(ctx, entries, lock_now, &ranges_, &out_, &found_));
    if (filter_.empty()) co_return true;
    CO_RETURN_IF_ERROR(Filter(&found_));
    if (!fetcher_.locks() || out_.rows == 0) co_return true;
    // What passed is locked, read again and must pass again.
    std::vector<kv::ScanPage::Row> passed;
    for (uint32_t f : found_) passed.push_back(entries[f]);
    if (left_ && passed.size() > *left_) {  // the rest is looked at again if these are not enough
      passed.resize(static_cast<size_t>(*left_));
      next_row_ = begin + found_[passed.size() - 1] + 1;
    }
    CO_RETURN_IF_ERROR(co_await fetcher_.FetchByEntries(ctx, passed, true, &ranges_, &out_, &found_));
    CO_RETURN_IF_ERROR(Filter(nullptr));
    co_return true;
  }

  // A scan of the primary index without a filter locks what it reads, in the same round trip.
  bool locked_by_scan() const { return fetcher_.locks() && scan_.index == 0 && filter_.empty(); }

  Task<absl::StatusOr<bool>> NextPage(const Context& ctx) {
    while (!page_ || next_row_ >= page_->rows().size()) {
      if (page_ && !rest_) page_.reset();
      kv::ScanSpec spec;
      if (rest_) {
        spec = *std::move(rest_);
        rest_.reset();
      } else {
        if (next_range_ >= ranges_.size()) co_return false;
        KeyRange& r = ranges_[scan_.reverse ? ranges_.size() - 1 - next_range_ : next_range_];
        ++next_range_;
        spec.start = r.start;
        spec.end = r.end;
        spec.reverse = scan_.reverse;
        if (locked_by_scan()) spec.options = fetcher_.lock_options();
      }
      SizePage(&spec);
      absl::StatusOr<kv::ScanPage> page = co_await state_->txn().Scan(ctx, std::move(spec));
      if (!page.ok()) co_return fetcher_.LockError(page.status());
      page_ = *std::move(page);
      rest_ = page_->rest();
      next_row_ = 0;
    }
    co_return true;
  }

  // What the limit wants, and little at first: a caller may stop early. Bytes bound the rest.
  void SizePage(kv::ScanSpec* spec) const {
    uint64_t rows = rows_read_ == 0 ? 256 : 8192;
    if (left_ && filter_.empty()) rows = std::min(rows, *left_);
    if (locked_by_scan()) rows = std::min<uint64_t>(rows, kBatchRows);
    spec->max_rows = std::max<uint64_t>(rows, 1);
  }

  // Drops rows of out_ that the filter does not let through, and their places in `found`.
  absl::Status Filter(std::vector<uint32_t>* found) {
    if (filter_.empty() || out_.rows == 0) return absl::OkStatus();
    RETURN_IF_ERROR(filter_.Select(state_->eval, BatchView(out_), &selected_));
    if (state_->exec->analyze) state_->counters[node_].rows_removed += out_.rows - selected_.size();
    if (selected_.size() == out_.rows) return absl::OkStatus();
    scratch_.Gather(out_, selected_);
    std::swap(out_, scratch_);
    if (found != nullptr) {
      for (size_t k = 0; k < selected_.size(); ++k) (*found)[k] = (*found)[selected_[k]];
      found->resize(selected_.size());
    }
    return absl::OkStatus();
  }

  const PhysicalIndexScan& scan_;
  RowFetcher fetcher_;
  KeyRanges ranges_of_;
  Evaluator filter_, limit_;
  std::optional<uint64_t> left_;
  std::vector<KeyRange> ranges_;
  std::vector<std::string> keys_;
  size_t next_range_ = 0, next_key_ = 0, next_row_ = 0;
  uint64_t rows_read_ = 0;
  std::optional<kv::ScanPage> page_;
  std::optional<kv::ScanSpec> rest_;
  Batch out_, scratch_;
  std::vector<uint32_t> found_, selected_;
};

}  // namespace

OperatorPtr MakeIndexScan(ExecState* state, const PhysicalNode& node) { return std::make_unique<IndexScanOperator>(state, node); }

}  // namespace insula::sql

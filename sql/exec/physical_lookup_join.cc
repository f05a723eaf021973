// Joins by looking rows of a stored table up by key, a batch of left rows at a time.
//
//   left batch ──► keys ──► unique index: one batch of point reads
//                       └─► other index: one scan per distinct key, some at once
//              ──► right rows, per left row ──► JoinOutput (order of the left side kept)
#include <algorithm>
#include <map>
#include <optional>

#include "base/async/task_group.h"
#include "base/check.h"
#include "base/encoding/ordered.h"
#include "sql/exec/join_output.h"
#include "sql/exec/key_ranges.h"
#include "sql/exec/operator.h"
#include "sql/exec/row_fetcher.h"

namespace insula::sql {
namespace {

constexpr size_t kUniqueRows = 512;  // left rows looked up together
constexpr size_t kScanRows = 32;     // scans at once

class LookupJoinOperator : public Operator {
 public:
  LookupJoinOperator(ExecState* state, const PhysicalNode& node, OperatorPtr left)
      : Operator(state, node),
        join_(node.As<PhysicalLookupJoin>()),
        left_(std::move(left)),
        fetcher_(state, join_.table, join_.index, join_.columns, join_.lock),
        keys_(MakeEvaluators(join_.keys)),
        right_filter_(join_.right_filter),
        output_(join_, TypesOf(*node.children[0]), fetcher_.types()),
        rows_(state->memory()) {
    CHECK(join_.join != JoinType::kRight && join_.join != JoinType::kFull) << "a lookup join cannot keep right rows";
  }

  Task<absl::Status> Open(const Context& ctx) override {
    batch_ = nullptr;
    co_return co_await left_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    output_.ResetOutput(&out_);
    for (;;) {
      EXEC_YIELD(ctx);
      if (batch_ == nullptr) {
        CO_ASSIGN_OR_RETURN(batch_, co_await left_->Next(ctx));
        if (batch_ == nullptr) co_return nullptr;
        CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, keys_, BatchView(*batch_), &key_values_));
        output_.BeginLeft(batch_->rows);
        row_ = 0;
      }
      size_t end = std::min(batch_->rows, row_ + (join_.unique ? kUniqueRows : kScanRows));
      CO_RETURN_IF_ERROR(co_await Lookup(ctx, row_, end));
      CO_RETURN_IF_ERROR(
          output_.Resolve(state_->eval, *batch_, rows_.rows(), candidates_left_, candidates_right_, row_, end, nullptr, &out_));
      row_ = end;
      if (row_ >= batch_->rows) batch_ = nullptr;
      if (out_.rows > 0) co_return &out_;
    }
  }

  void Close() override {
    rows_.Clear();
    left_->Close();
  }

 private:
  // Candidates of left rows [begin, end): right rows into rows_.
  Task<absl::Status> Lookup(const Context& ctx, size_t begin, size_t end) {
    rows_.Reset(fetcher_.types());
    candidates_left_.clear();
    candidates_right_.clear();
    // Equal keys are looked up once. places: by left row, index into `keys`, or kNoRow.
    std::vector<std::string> keys;
    std::map<std::string, uint32_t> known;
    std::vector<uint32_t> places(end - begin, kNoRow);
    for (size_t row = begin; row < end; ++row) {
      std::optional<std::string> key = KeyOf(row);
      if (!key) continue;
      auto [it, added] = known.emplace(*key, static_cast<uint32_t>(keys.size()));
      if (added) keys.push_back(*std::move(key));
      places[row - begin] = it->second;
    }
    if (keys.empty()) co_return absl::OkStatus();
    std::vector<std::vector<uint32_t>> found(keys.size());  // right rows per key
    if (join_.unique) {
      CO_RETURN_IF_ERROR(co_await LookupUnique(ctx, std::move(keys), &found));
    } else {
      CO_RETURN_IF_ERROR(co_await LookupRanges(ctx, keys, &found));
    }
    for (size_t row = begin; row < end; ++row) {
      if (places[row - begin] == kNoRow) continue;
      for (uint32_t r : found[places[row - begin]]) {
        candidates_left_.push_back(static_cast<uint32_t>(row));
        candidates_right_.push_back(r);
      }
    }
    co_return absl::OkStatus();
  }

  // The index key (or its prefix) of a left row; nullopt if a column of it is NULL.
  std::optional<std::string> KeyOf(size_t row) {
    std::string key = fetcher_.codec().IndexPrefix(join_.index);
    for (size_t c = 0; c < key_values_.columns.size(); ++c) {
      if (key_values_.columns[c].IsNull(row)) return std::nullopt;
      Datum v = key_values_.columns[c].Get(row);
      fetcher_.codec().AppendIndexColumn(join_.index, static_cast<int>(c), &v, &key);
    }
    return key;
  }

  Task<absl::Status> LookupUnique(const Context& ctx, std::vector<std::string> keys, std::vector<std::vector<uint32_t>>* found) {
    std::vector<uint32_t> places;
    CO_RETURN_IF_ERROR(co_await fetcher_.FetchByUniqueKey(ctx, std::move(keys), &fetched_, &places));
    co_return AddRows(places, found);
  }

  Task<absl::Status> LookupRanges(const Context& ctx, const std::vector<std::string>& keys, std::vector<std::vector<uint32_t>>* found) {
    std::vector<KeyRange> ranges;
    for (const auto& k : keys) ranges.push_back({k, PrefixEnd(k)});
    std::vector<KeyRange> sorted = ranges;
    std::sort(sorted.begin(), sorted.end(), [](const KeyRange& a, const KeyRange& b) { return a.start < b.start; });
    std::vector<Task<absl::Status>> scans;
    std::vector<std::vector<kv::ScanPage>> pages(keys.size());
    for (size_t k = 0; k < keys.size(); ++k) scans.push_back(ScanRange(ctx, ranges[k], &pages[k]));
    for (absl::Status& s : co_await WhenAll(ctx, std::move(scans))) CO_RETURN_IF_ERROR(fetcher_.LockError(s));
    for (uint32_t k = 0; k < keys.size(); ++k) {
      for (const kv::ScanPage& page : pages[k]) {
        for (size_t at = 0; at < page.rows().size(); at += kBatchRows) {
          EXEC_YIELD(ctx);
          size_t n = std::min(kBatchRows, page.rows().size() - at);
          std::span<const kv::ScanPage::Row> entries(page.rows().data() + at, n);
          std::vector<uint32_t> places;
          CO_RETURN_IF_ERROR(co_await fetcher_.FetchByEntries(ctx, entries, fetcher_.locks(), &sorted, &fetched_, &places));
          std::fill(places.begin(), places.end(), k);
          CO_RETURN_IF_ERROR(AddRows(places, found));
        }
      }
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> ScanRange(const Context& ctx, const KeyRange& range, std::vector<kv::ScanPage>* pages) {
    kv::ScanSpec first;
    first.start = range.start;
    first.end = range.end;
    std::optional<kv::ScanSpec> spec = std::move(first);
    while (spec) {
      absl::StatusOr<kv::ScanPage> page = co_await state_->txn().Scan(ctx, *std::move(spec));
      if (!page.ok()) co_return page.status();
      spec = page->rest();
      pages->push_back(*std::move(page));
    }
    co_return absl::OkStatus();
  }

  // Rows of fetched_ that pass the right side's own filter; places[i]: the key that row i belongs to.
  absl::Status AddRows(const std::vector<uint32_t>& places, std::vector<std::vector<uint32_t>>* found) {
    if (!right_filter_.empty()) {
      RETURN_IF_ERROR(right_filter_.Select(state_->eval, BatchView(fetched_), &selected_));
    } else {
      selected_.resize(fetched_.rows);
      for (uint32_t i = 0; i < fetched_.rows; ++i) selected_[i] = i;
    }
    for (size_t k = 0; k < selected_.size(); ++k) {
      (*found)[places[selected_[k]]].push_back(static_cast<uint32_t>(rows_.size() + k));
    }
    return rows_.AppendSelected(fetched_, selected_);
  }

  const PhysicalLookupJoin& join_;
  OperatorPtr left_;
  RowFetcher fetcher_;
  std::vector<Evaluator> keys_;
  Evaluator right_filter_;
  JoinOutput output_;
  RowStore rows_;
  Batch* batch_ = nullptr;
  size_t row_ = 0;
  Batch key_values_, fetched_, out_;
  std::vector<uint32_t> candidates_left_, candidates_right_, selected_;
};

}  // namespace

OperatorPtr MakeLookupJoin(ExecState* state, const PhysicalNode& node, OperatorPtr left) {
  return std::make_unique<LookupJoinOperator>(state, node, std::move(left));
}

}  // namespace insula::sql

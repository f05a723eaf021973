// ORDER BY: sorts runs of a few thousand rows as they arrive and merges the runs when all are there.
//
//   rows ──► run 1 (sorted) ─┐
//        ──► run 2 (sorted) ─┼─► heap of run heads ──► batches in order
//        ──► …              ─┘
//
// Equal rows keep their order of arrival. All rows are held in memory; past the limit the statement fails (53200).
#include <algorithm>

#include "sql/exec/operator.h"
#include "sql/exec/row_order.h"

namespace insula::sql {
namespace {

constexpr size_t kRunRows = 8192;

class SortOperator : public Operator {
 public:
  SortOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), order_(node.As<PhysicalSort>().keys), types_(TypesOf(node)), held_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    runs_.clear();
    heap_.clear();
    held_.Release();
    sorted_ = false;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (!sorted_) {
      CO_RETURN_IF_ERROR(co_await ReadAll(ctx));
      sorted_ = true;
    }
    EXEC_YIELD(ctx);
    co_return Merge();
  }

  void Close() override {
    runs_.clear();
    heap_.clear();
    held_.Release();
    child_->Close();
  }

 private:
  struct Run {
    Batch rows, keys;
    std::vector<uint32_t> order;
    size_t at = 0;
    uint32_t row() const { return order[at]; }
  };

  Task<absl::Status> ReadAll(const Context& ctx) {
    std::unique_ptr<Run> run;
    Batch keys;
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) break;
      CO_RETURN_IF_ERROR(order_.Evaluate(state_->eval, BatchView(*batch), &keys));
      if (run == nullptr) {
        run = std::make_unique<Run>();
        run->rows.Reset(types_);
        run->keys = std::move(keys);
        keys = Batch();
      } else {
        for (size_t c = 0; c < run->keys.columns.size(); ++c) run->keys.columns[c].AppendRange(keys.columns[c], 0, keys.rows);
        run->keys.rows += keys.rows;
      }
      for (size_t c = 0; c < run->rows.columns.size(); ++c) run->rows.columns[c].AppendRange(batch->columns[c], 0, batch->rows);
      run->rows.rows += batch->rows;
      if (run->rows.rows >= kRunRows) CO_RETURN_IF_ERROR(FinishRun(std::move(run)));
      EXEC_YIELD(ctx);
    }
    if (run != nullptr) CO_RETURN_IF_ERROR(FinishRun(std::move(run)));
    for (size_t r = 0; r < runs_.size(); ++r) heap_.push_back(r);
    std::make_heap(heap_.begin(), heap_.end(), [this](size_t a, size_t b) { return After(a, b); });
    co_return absl::OkStatus();
  }

  absl::Status FinishRun(std::unique_ptr<Run> run) {
    order_.Sort(run->keys, &run->order);
    RETURN_IF_ERROR(held_.Add(run->rows.MemoryUsage() + run->keys.MemoryUsage() + run->order.capacity() * sizeof(uint32_t)));
    runs_.push_back(std::move(run));
    return absl::OkStatus();
  }

  // Whether run a's head comes after run b's.
  bool After(size_t a, size_t b) const {
    int c = order_.Compare(runs_[a]->keys, runs_[a]->row(), runs_[b]->keys, runs_[b]->row());
    return c != 0 ? c > 0 : a > b;
  }

  Batch* Merge() {
    if (heap_.empty()) return nullptr;
    if (heap_.size() == 1) return Rest(*runs_[heap_[0]]);
    out_.Reset(types_);
    auto after = [this](size_t a, size_t b) { return After(a, b); };
    while (out_.rows < kBatchRows && !heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), after);
      Run& run = *runs_[heap_.back()];
      out_.AppendFrom(run.rows, run.row());
      if (++run.at == run.order.size()) {
        heap_.pop_back();
      } else {
        std::push_heap(heap_.begin(), heap_.end(), after);
      }
    }
    return &out_;
  }

  // One run is left: no more comparing.
  Batch* Rest(Run& run) {
    size_t n = std::min(kBatchRows, run.order.size() - run.at);
    out_.Gather(run.rows, std::span<const uint32_t>(run.order).subspan(run.at, n));
    run.at += n;
    if (run.at == run.order.size()) heap_.clear();
    return &out_;
  }

  OperatorPtr child_;
  RowOrder order_;
  std::vector<SqlType> types_;
  MemoryReservation held_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::vector<size_t> heap_;
  bool sorted_ = false;
  Batch out_;
};

}  // namespace

OperatorPtr MakeSort(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<SortOperator>(state, node, std::move(child));
}

}  // namespace insula::sql

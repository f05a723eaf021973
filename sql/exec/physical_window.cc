// Window functions. The input comes sorted by partition and order; a partition at a time is held in memory, each call is
// computed over it as one column, and the rows go on with those columns added.
//
// Aggregates over a frame that starts with the partition grow from row to row; over other frames they are computed anew.
#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/exec/operator.h"
#include "sql/exec/row_order.h"
#include "sql/exec/window_frame.h"
#include "sql/functions/registry.h"

namespace insula::sql {
namespace {

// One call, ready for one execution.
struct Call {
  const WindowCall* spec;
  std::vector<Evaluator> args;
  std::vector<SqlType> arg_types;
  Evaluator filter;
};

// One partition's rows and what the functions ask of them.
struct Partition {
  Batch rows, keys;
  PeerGroups peers;
};

class WindowOperator : public Operator {
 public:
  WindowOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        window_(node.As<PhysicalWindow>()),
        child_(std::move(child)),
        child_types_(TypesOf(*node.children[0])),
        partition_by_(MakeEvaluators(window_.partition_by)),
        order_(window_.order_by),
        held_(state->memory()) {
    for (const WindowCall& c : window_.calls) {
      Call call{&c, MakeEvaluators(c.args), {}, Evaluator(c.filter)};
      for (const auto& a : c.args) call.arg_types.push_back(a->type);
      calls_.push_back(std::move(call));
    }
  }

  Task<absl::Status> Open(const Context& ctx) override {
    input_ = nullptr;
    ended_ = false;
    at_ = 0;
    partition_ = Partition();
    results_.clear();
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (at_ >= partition_.rows.rows) {
      CO_ASSIGN_OR_RETURN(bool more, co_await ReadPartition(ctx));
      if (!more) co_return nullptr;
      results_.resize(calls_.size());
      for (size_t c = 0; c < calls_.size(); ++c) CO_RETURN_IF_ERROR(co_await Compute(ctx, calls_[c], &results_[c]));
      at_ = 0;
    }
    EXEC_YIELD(ctx);
    size_t n = std::min(kBatchRows, partition_.rows.rows - at_);
    out_.Slice(partition_.rows, at_, n);
    for (const Vector& v : results_) {
      out_.columns.emplace_back();
      out_.columns.back().Slice(v, at_, n);
    }
    at_ += n;
    co_return &out_;
  }

  void Close() override {
    partition_ = Partition();
    results_.clear();
    held_.Release();
    child_->Close();
  }

 private:
  // The next partition's rows; false at the end.
  Task<absl::StatusOr<bool>> ReadPartition(const Context& ctx) {
    partition_ = Partition();
    partition_.rows.Reset(child_types_);
    Batch first_keys;
    for (;;) {
      EXEC_YIELD(ctx);
      if (input_ == nullptr) {
        if (ended_) break;
        CO_ASSIGN_OR_RETURN(input_, co_await child_->Next(ctx));
        if (input_ == nullptr) {
          ended_ = true;
          break;
        }
        CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, partition_by_, BatchView(*input_), &input_keys_));
        input_row_ = 0;
      }
      if (partition_.rows.rows == 0) first_keys.Slice(input_keys_, input_row_, 1);
      size_t end = input_row_;
      while (end < input_->rows && SameKeys(first_keys, 0, input_keys_, end)) ++end;
      for (size_t c = 0; c < child_types_.size(); ++c) {
        partition_.rows.columns[c].AppendRange(input_->columns[c], input_row_, end - input_row_);
      }
      partition_.rows.rows += end - input_row_;
      CO_RETURN_IF_ERROR(held_.Set(partition_.rows.MemoryUsage()));
      bool complete = end < input_->rows;
      input_row_ = end;
      if (complete) break;
      input_ = nullptr;
    }
    if (partition_.rows.rows == 0) co_return false;
    CO_RETURN_IF_ERROR(FindPeers());
    co_return true;
  }

  static bool SameKeys(const Batch& a, size_t i, const Batch& b, size_t j) {
    for (size_t c = 0; c < a.columns.size(); ++c) {
      if (!Vector::NotDistinct(a.columns[c], i, b.columns[c], j)) return false;
    }
    return true;
  }

  absl::Status FindPeers() {
    size_t rows = partition_.rows.rows;
    RETURN_IF_ERROR(order_.Evaluate(state_->eval, BatchView(partition_.rows), &partition_.keys));
    PeerGroups& p = partition_.peers;
    for (size_t i = 0; i < rows; ++i) {
      if (i == 0 || order_.Compare(partition_.keys, i - 1, partition_.keys, i) != 0) p.starts.push_back(i);
      p.group_of.push_back(p.starts.size() - 1);
    }
    p.starts.push_back(rows);
    return absl::OkStatus();
  }

  Task<absl::Status> Compute(const Context& ctx, Call& call, Vector* out) {
    out->Reset(call.spec->type);
    std::vector<Vector> args(call.args.size());
    BatchView rows(partition_.rows);
    for (size_t a = 0; a < args.size(); ++a) CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, call.args[a], rows, &args[a]));
    if (call.spec->function->kind == FunctionKind::kAggregate) co_return co_await ComputeAggregate(ctx, call, args, out);
    co_return ComputeFunction(call, args, out);
  }

  absl::Status ComputeFunction(const Call& call, const std::vector<Vector>& args, Vector* out) {
    std::string_view name = call.spec->function->name;
    const PeerGroups& p = partition_.peers;
    size_t rows = partition_.rows.rows;
    if (name == "ntile") return Ntile(args[0], out);
    if (name == "lag" || name == "lead") return Shift(args, name == "lead", out);
    if (name == "first_value" || name == "last_value" || name == "nth_value") return FrameValue(call, args, name, out);
    for (size_t i = 0; i < rows; ++i) {
      if (name == "row_number") {
        out->AppendInt(static_cast<int64_t>(i + 1));
      } else if (name == "rank") {
        out->AppendInt(static_cast<int64_t>(p.Start(i) + 1));
      } else if (name == "dense_rank") {
        out->AppendInt(static_cast<int64_t>(p.group_of[i] + 1));
      } else if (name == "percent_rank") {
        out->AppendFloat(rows <= 1 ? 0 : static_cast<double>(p.Start(i)) / static_cast<double>(rows - 1));
      } else if (name == "cume_dist") {
        out->AppendFloat(static_cast<double>(p.End(i)) / static_cast<double>(rows));
      } else {
        return PgUnsupported(StrCat("window function ", name, "()"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Ntile(const Vector& buckets, Vector* out) {
    size_t rows = partition_.rows.rows;
    if (buckets.IsNull(0)) {
      out->AppendConstant(Datum::Null(), rows);
      return absl::OkStatus();
    }
    int64_t n = buckets.ints()[0];
    if (n <= 0) return PgError("22014", "argument of ntile must be greater than zero");
    size_t count = static_cast<size_t>(n), small = rows / count, larger = rows % count;
    for (size_t i = 0; i < rows; ++i) {
      size_t in_larger = larger * (small + 1);
      size_t bucket = i < in_larger ? i / (small + 1) : larger + (i - in_larger) / std::max<size_t>(small, 1);
      out->AppendInt(static_cast<int64_t>(bucket + 1));
    }
    return absl::OkStatus();
  }

  absl::Status Shift(const std::vector<Vector>& args, bool forward, Vector* out) {
    int64_t rows = static_cast<int64_t>(partition_.rows.rows);
    for (int64_t i = 0; i < rows; ++i) {
      int64_t offset = 1;
      if (args.size() > 1) {
        if (args[1].IsNull(i)) {
          out->AppendNull();
          continue;
        }
        offset = args[1].ints()[i];
      }
      int64_t at = forward ? i + offset : i - offset;
      if (at >= 0 && at < rows) {
        out->AppendFrom(args[0], at);
      } else if (args.size() > 2) {
        out->AppendFrom(args[2], i);
      } else {
        out->AppendNull();
      }
    }
    return absl::OkStatus();
  }

  // Rows of a frame without what its EXCLUDE takes out, as at most three pieces in order.
  std::vector<FrameRange> Pieces(const WindowFrame& frame, const FrameRange& f, size_t row) const {
    FrameRange out{f.begin, f.begin};  // excluded
    const PeerGroups& p = partition_.peers;
    switch (frame.exclusion) {
      case FrameExclusion::kNone: return {f};
      case FrameExclusion::kCurrentRow: out = {row, row + 1}; break;
      case FrameExclusion::kGroup:
      case FrameExclusion::kTies: out = {p.Start(row), p.End(row)}; break;
    }
    std::vector<FrameRange> pieces;
    auto add = [&](size_t begin, size_t end) {
      begin = std::max(begin, f.begin);
      end = std::min(end, f.end);
      if (begin < end) pieces.push_back({begin, end});
    };
    add(f.begin, out.begin);
    if (frame.exclusion == FrameExclusion::kTies) add(row, row + 1);
    add(out.end, f.end);
    return pieces;
  }

  absl::Status FrameValue(const Call& call, const std::vector<Vector>& args, std::string_view name, Vector* out) {
    std::vector<FrameRange> frames;
    RETURN_IF_ERROR(ComputeFrames(call.spec->frame, window_.order_by, partition_.keys, partition_.peers, state_->eval, &frames));
    for (size_t i = 0; i < frames.size(); ++i) {
      std::vector<FrameRange> pieces = Pieces(call.spec->frame, frames[i], i);
      size_t total = 0;
      for (const auto& p : pieces) total += p.end - p.begin;
      size_t wanted = 0;  // place within the frame
      if (name == "last_value") {
        wanted = total - 1;
      } else if (name == "nth_value") {
        if (args[1].IsNull(i)) {
          out->AppendNull();
          continue;
        }
        if (args[1].ints()[i] <= 0) return PgError("22016", "argument of nth_value must be greater than zero");
        wanted = static_cast<size_t>(args[1].ints()[i] - 1);
      }
      if (total == 0 || wanted >= total) {
        out->AppendNull();
        continue;
      }
      for (const auto& p : pieces) {
        size_t n = p.end - p.begin;
        if (wanted < n) {
          out->AppendFrom(args[0], p.begin + wanted);
          break;
        }
        wanted -= n;
      }
    }
    return absl::OkStatus();
  }

  Task<absl::Status> ComputeAggregate(const Context& ctx, Call& call, const std::vector<Vector>& args, Vector* out) {
    if (call.spec->function->aggregate == nullptr) co_return PgUnsupported(StrCat("aggregate function ", call.spec->function->name, "()"));
    size_t rows = partition_.rows.rows;
    std::vector<uint32_t> groups(rows, 0);
    if (!call.filter.empty()) {
      std::vector<uint32_t> selected;
      CO_RETURN_IF_ERROR(call.filter.Select(state_->eval, BatchView(partition_.rows), &selected));
      groups.assign(rows, Aggregator::kSkipRow);
      for (uint32_t i : selected) groups[i] = 0;
    }
    std::vector<FrameRange> frames;
    CO_RETURN_IF_ERROR(ComputeFrames(call.spec->frame, window_.order_by, partition_.keys, partition_.peers, state_->eval, &frames));
    CO_ASSIGN_OR_RETURN(auto aggregator, MakeAggregator(*call.spec->function, call.arg_types, call.spec->type));
    aggregator->AddGroups(1);
    bool grows = call.spec->frame.start == FrameBound::kUnboundedPreceding && call.spec->frame.exclusion == FrameExclusion::kNone;
    FunctionContext& functions = *state_->eval.functions;
    size_t fed = 0;
    for (size_t i = 0; i < rows; ++i) {
      EXEC_YIELD(ctx);
      if (grows) {
        if (i > 0 && frames[i].end == frames[i - 1].end) {
          Datum same = out->Get(i - 1);
          out->Append(same);
          continue;
        }
        CO_RETURN_IF_ERROR(Feed(*aggregator, functions, args, groups, {fed, frames[i].end}));
        fed = std::max(fed, frames[i].end);
      } else {
        aggregator->Clear();
        aggregator->AddGroups(1);
        for (const FrameRange& piece : Pieces(call.spec->frame, frames[i], i)) {
          CO_RETURN_IF_ERROR(Feed(*aggregator, functions, args, groups, piece));
        }
      }
      CO_RETURN_IF_ERROR(aggregator->Finalize(functions, 0, 1, out));
    }
    co_return absl::OkStatus();
  }

  static absl::Status Feed(Aggregator& aggregator, FunctionContext& functions, const std::vector<Vector>& args,
                           const std::vector<uint32_t>& groups, FrameRange range) {
    if (range.begin >= range.end) return absl::OkStatus();
    std::vector<Vector> slices(args.size());
    std::vector<const Vector*> pointers;
    for (size_t a = 0; a < args.size(); ++a) {
      slices[a].Slice(args[a], range.begin, range.end - range.begin);
      pointers.push_back(&slices[a]);
    }
    return aggregator.Update(functions, pointers, range.end - range.begin, groups.data() + range.begin);
  }

  const PhysicalWindow& window_;
  OperatorPtr child_;
  std::vector<SqlType> child_types_;
  std::vector<Evaluator> partition_by_;
  RowOrder order_;
  std::vector<Call> calls_;
  MemoryReservation held_;
  Batch* input_ = nullptr;  // the child's batch at hand, from input_row_ on
  Batch input_keys_;
  size_t input_row_ = 0;
  bool ended_ = false;
  Partition partition_;
  std::vector<Vector> results_;  // by call, over the partition
  size_t at_ = 0;
  Batch out_;
};

}  // namespace

OperatorPtr MakeWindow(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<WindowOperator>(state, node, std::move(child));
}

}  // namespace insula::sql

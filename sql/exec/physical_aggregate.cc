// GROUP BY: by hashing, or over input that comes grouped.
//
// Hash: every grouping set has its own table of groups and its own aggregate states; each input batch goes to all of them.
// Stream: groups are runs of equal keys; finished ones are handed out while reading goes on, so memory does not grow with
// their number.
#include <algorithm>

#include "base/check.h"
#include "sql/exec/aggregate_runner.h"
#include "sql/exec/group_table.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

std::vector<std::unique_ptr<AggregateRunner>> MakeRunners(const PhysicalAggregate& node, MemoryAccount* memory) {
  std::vector<std::unique_ptr<AggregateRunner>> out;
  for (const auto& spec : node.aggregates) out.push_back(std::make_unique<AggregateRunner>(spec, memory));
  return out;
}

// Reserves what nextval takes in keys and arguments.
Task<absl::Status> Reserve(const Context& ctx, ExecState* state, std::span<Evaluator> keys, std::span<const std::unique_ptr<AggregateRunner>> runners,
                           RowView rows) {
  CO_RETURN_IF_ERROR(co_await state->ReserveSequences(ctx, keys, rows));
  for (const auto& r : runners) {
    if (AnyUsesSequences(r->arguments())) CO_RETURN_IF_ERROR(co_await state->ReserveSequences(ctx, r->arguments(), rows));
  }
  co_return absl::OkStatus();
}

bool UseSequences(std::span<const Evaluator> keys, std::span<const std::unique_ptr<AggregateRunner>> runners) {
  return AnyUsesSequences(keys) ||
         std::any_of(runners.begin(), runners.end(), [](const auto& r) { return AnyUsesSequences(r->arguments()); });
}

class HashAggregateOperator : public Operator {
 public:
  HashAggregateOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), agg_(node.As<PhysicalHashAggregate>()), child_(std::move(child)), keys_(MakeEvaluators(agg_.keys)), types_(TypesOf(node)) {
    std::vector<std::vector<int>> sets = agg_.grouping_sets;
    if (sets.empty()) {
      sets.emplace_back();
      for (size_t k = 0; k < agg_.keys.size(); ++k) sets[0].push_back(static_cast<int>(k));
    }
    for (auto& columns : sets) {
      auto set = std::make_unique<Set>(state->memory());
      set->columns = std::move(columns);
      set->runners = MakeRunners(agg_, state->memory());
      sets_.push_back(std::move(set));
    }
    sequences_ = UseSequences(keys_, sets_[0]->runners);
  }

  Task<absl::Status> Open(const Context& ctx) override {
    for (auto& set : sets_) {
      std::vector<SqlType> types;
      for (int k : set->columns) types.push_back(agg_.keys[k]->type);
      set->table.Reset(types);
      set->groups = 0;
      for (auto& r : set->runners) CO_RETURN_IF_ERROR(r->Reset());
    }
    read_ = false;
    set_at_ = group_at_ = 0;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (!read_) {
      CO_RETURN_IF_ERROR(co_await ReadAll(ctx));
      read_ = true;
    }
    EXEC_YIELD(ctx);
    while (set_at_ < sets_.size() && group_at_ >= sets_[set_at_]->groups) {
      ++set_at_;
      group_at_ = 0;
    }
    if (set_at_ >= sets_.size()) co_return nullptr;
    Set& set = *sets_[set_at_];
    size_t end = std::min(set.groups, group_at_ + kBatchRows);
    CO_RETURN_IF_ERROR(Output(set, group_at_, end));
    group_at_ = end;
    co_return &out_;
  }

  void Close() override {
    for (auto& set : sets_) {
      set->table.Clear();
      for (auto& r : set->runners) r->Close();
    }
    child_->Close();
  }

 private:
  struct Set {
    explicit Set(MemoryAccount* memory) : table(memory) {}
    std::vector<int> columns;  // into the keys
    GroupTable table;
    size_t groups = 0;
    std::vector<std::unique_ptr<AggregateRunner>> runners;
  };

  Task<absl::Status> ReadAll(const Context& ctx) {
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) break;
      view_.Set(*batch);
      if (sequences_) CO_RETURN_IF_ERROR(co_await Reserve(ctx, state_, keys_, sets_[0]->runners, view_));
      std::vector<const Vector*> keys;
      for (Evaluator& k : keys_) {
        CO_ASSIGN_OR_RETURN(const Vector* v, k.Evaluate(state_->eval, view_));
        keys.push_back(v);
      }
      for (auto& set : sets_) CO_RETURN_IF_ERROR(Update(*set, keys));
      EXEC_YIELD(ctx);
    }
    // A set without keys has its one group even without input.
    for (auto& set : sets_) {
      if (set->columns.empty() && set->groups == 0) GrowTo(*set, 1);
    }
    co_return absl::OkStatus();
  }

  void GrowTo(Set& set, size_t groups) {
    set.groups = groups;
    for (auto& r : set.runners) r->GrowTo(groups);
  }

  absl::Status Update(Set& set, const std::vector<const Vector*>& keys) {
    if (set.columns.empty()) {
      if (set.groups == 0) GrowTo(set, 1);
      groups_.assign(view_.rows(), 0);
    } else {
      std::vector<const Vector*> columns;
      for (int k : set.columns) columns.push_back(keys[k]);
      RETURN_IF_ERROR(set.table.FindOrAdd(columns, view_.rows(), &groups_));
      if (set.table.size() > set.groups) GrowTo(set, set.table.size());
    }
    for (auto& r : set.runners) RETURN_IF_ERROR(r->Update(state_->eval, view_, groups_));
    return absl::OkStatus();
  }

  absl::Status Output(Set& set, size_t begin, size_t end) {
    out_.Reset(types_);
    size_t column = 0;
    for (size_t k = 0; k < agg_.keys.size(); ++k, ++column) {
      auto it = std::find(set.columns.begin(), set.columns.end(), static_cast<int>(k));
      if (it == set.columns.end()) {
        out_.columns[column].AppendConstant(Datum::Null(), end - begin);
      } else {
        out_.columns[column].AppendRange(set.table.keys().columns[it - set.columns.begin()], begin, end - begin);
      }
    }
    for (auto& r : set.runners) RETURN_IF_ERROR(r->Finalize(state_->eval, begin, end, &out_.columns[column++]));
    for (const auto& grouping : agg_.groupings) {
      int64_t bits = 0;
      for (int k : grouping) {
        bool grouped = std::find(set.columns.begin(), set.columns.end(), k) != set.columns.end();
        bits = bits << 1 | (grouped ? 0 : 1);
      }
      out_.columns[column++].AppendConstant(Datum::Int(bits), end - begin);
    }
    out_.rows = end - begin;
    return absl::OkStatus();
  }

  const PhysicalHashAggregate& agg_;
  OperatorPtr child_;
  std::vector<Evaluator> keys_;
  std::vector<SqlType> types_;
  std::vector<std::unique_ptr<Set>> sets_;
  bool read_ = false, sequences_ = false;
  size_t set_at_ = 0, group_at_ = 0;
  BatchView view_;
  std::vector<uint32_t> groups_;
  Batch out_;
};

class StreamAggregateOperator : public Operator {
 public:
  StreamAggregateOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        agg_(node.As<PhysicalStreamAggregate>()),
        child_(std::move(child)),
        keys_(MakeEvaluators(agg_.keys)),
        types_(TypesOf(node)),
        runners_(MakeRunners(agg_, state->memory())) {
    for (const auto& k : agg_.keys) key_types_.push_back(k->type);
    sequences_ = UseSequences(keys_, runners_);
  }

  Task<absl::Status> Open(const Context& ctx) override {
    CO_RETURN_IF_ERROR(Restart());
    ended_ = false;
    any_input_ = false;
    batch_ = nullptr;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      if (all_finished_) {
        if (emitted_ < groups_.rows) {
          size_t end = std::min(groups_.rows, emitted_ + kBatchRows);
          CO_RETURN_IF_ERROR(Output(emitted_, end));
          emitted_ = end;
          co_return &out_;
        }
        if (ended_) co_return nullptr;
        CO_RETURN_IF_ERROR(Restart());
      }
      if (batch_ == nullptr) {
        CO_ASSIGN_OR_RETURN(batch_, co_await child_->Next(ctx));
        if (batch_ == nullptr) {
          ended_ = all_finished_ = true;
          if (!any_input_ && agg_.keys.empty()) AddGroup(nullptr, 0);
          continue;
        }
        any_input_ = true;
        if (sequences_) CO_RETURN_IF_ERROR(co_await Reserve(ctx, state_, keys_, runners_, BatchView(*batch_)));
        CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, keys_, BatchView(*batch_), &batch_keys_));
        row_ = 0;
      }
      CO_RETURN_IF_ERROR(Take());
    }
  }
  void Close() override {
    for (auto& r : runners_) r->Close();
    child_->Close();
  }

 private:
  absl::Status Restart() {
    groups_.Reset(key_types_);
    groups_.rows = 0;
    emitted_ = 0;
    all_finished_ = false;
    for (auto& r : runners_) RETURN_IF_ERROR(r->Reset());
    return absl::OkStatus();
  }

  void AddGroup(const Batch* keys, size_t row) {
    for (size_t c = 0; c < groups_.columns.size(); ++c) groups_.columns[c].AppendFrom(keys->columns[c], row);
    ++groups_.rows;
    for (auto& r : runners_) r->GrowTo(groups_.rows);
  }

  bool SameAsLastGroup(size_t row) const {
    for (size_t c = 0; c < groups_.columns.size(); ++c) {
      if (!Vector::NotDistinct(groups_.columns[c], groups_.rows - 1, batch_keys_.columns[c], row)) return false;
    }
    return true;
  }

  // Feeds rows of the batch: all of them, or up to where a group ends and enough groups are at hand to be handed out.
  absl::Status Take() {
    numbers_.clear();
    size_t begin = row_;
    for (; row_ < batch_->rows; ++row_) {
      if (groups_.rows == 0 || !SameAsLastGroup(row_)) {
        if (groups_.rows >= kBatchRows) {
          all_finished_ = true;
          break;
        }
        AddGroup(&batch_keys_, row_);
      }
      numbers_.push_back(static_cast<uint32_t>(groups_.rows - 1));
    }
    if (row_ > begin) {
      Batch part;
      const Batch* rows = batch_;
      if (begin != 0 || row_ != batch_->rows) {
        part.Slice(*batch_, begin, row_ - begin);
        rows = &part;
      }
      for (auto& r : runners_) RETURN_IF_ERROR(r->Update(state_->eval, BatchView(*rows), numbers_));
    }
    if (row_ >= batch_->rows) batch_ = nullptr;
    return absl::OkStatus();
  }

  absl::Status Output(size_t begin, size_t end) {
    out_.Reset(types_);
    for (size_t k = 0; k < key_types_.size(); ++k) out_.columns[k].AppendRange(groups_.columns[k], begin, end - begin);
    for (size_t a = 0; a < runners_.size(); ++a) {
      RETURN_IF_ERROR(runners_[a]->Finalize(state_->eval, begin, end, &out_.columns[key_types_.size() + a]));
    }
    out_.rows = end - begin;
    return absl::OkStatus();
  }

  const PhysicalStreamAggregate& agg_;
  OperatorPtr child_;
  std::vector<Evaluator> keys_;
  std::vector<SqlType> key_types_, types_;
  std::vector<std::unique_ptr<AggregateRunner>> runners_;
  Batch groups_;         // keys of the groups that have a state
  size_t emitted_ = 0;
  Batch* batch_ = nullptr;
  Batch batch_keys_, out_;
  size_t row_ = 0;
  bool all_finished_ = false;  // every group at hand: the next row starts another one, or there is none
  bool ended_ = false, any_input_ = false, sequences_ = false;
  std::vector<uint32_t> numbers_;
};

}  // namespace

OperatorPtr MakeHashAggregate(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<HashAggregateOperator>(state, node, std::move(child));
}
OperatorPtr MakeStreamAggregate(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<StreamAggregateOperator>(state, node, std::move(child));
}

}  // namespace insula::sql

// SELECT … FOR UPDATE where the scans themselves cannot lock (joins, sorted and limited queries).
//
// All rows are read, then locked by primary key. A row that another transaction changed or deleted in between makes the rows
// read before it doubtful: under READ COMMITTED the input is read again, at a new snapshot and with the locks held, until
// nothing has changed; so what is returned is what is locked. Under stronger levels the store itself reports the conflict.
#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

constexpr int kMaxRounds = 20;

class LockRowsOperator : public Operator {
 public:
  LockRowsOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), lock_(node.As<PhysicalLockRows>()), child_(std::move(child)), types_(TypesOf(node)), rows_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    read_ = false;
    at_ = 0;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (!read_) {
      CO_RETURN_IF_ERROR(co_await ReadAndLock(ctx));
      read_ = true;
    }
    EXEC_YIELD(ctx);
    size_t end = std::min(kept_.size(), at_ + kBatchRows);
    if (at_ >= end) co_return nullptr;
    out_.Gather(rows_.rows(), std::span<const uint32_t>(kept_).subspan(at_, end - at_));
    at_ = end;
    co_return &out_;
  }
  void Close() override {
    rows_.Clear();
    child_->Close();
  }

 private:
  Task<absl::Status> ReadAndLock(const Context& ctx) {
    for (int round = 0; round < kMaxRounds; ++round) {
      rows_.Reset(types_);
      for (;;) {
        CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
        if (batch == nullptr) break;
        CO_RETURN_IF_ERROR(rows_.Append(*batch));
        EXEC_YIELD(ctx);
      }
      dropped_.assign(rows_.size(), false);
      changed_ = false;
      for (const LockTarget& target : lock_.targets) CO_RETURN_IF_ERROR(co_await LockTargetRows(ctx, target));
      if (!changed_) {
        kept_.clear();
        for (uint32_t i = 0; i < rows_.size(); ++i) {
          if (!dropped_[i]) kept_.push_back(i);
        }
        co_return absl::OkStatus();
      }
      CO_RETURN_IF_ERROR(co_await state_->txn().BeginStatement(ctx));
      CO_RETURN_IF_ERROR(co_await child_->Open(ctx));
    }
    co_return PgError(sqlstate::kSerializationFailure, "could not lock rows: they keep changing");
  }

  Task<absl::Status> LockTargetRows(const Context& ctx, const LockTarget& target) {
    const RowCodec& codec = state_->CodecOf(target.table);
    const IndexInfo& primary = target.table->indexes[0];
    CHECK_EQ(primary.columns.size(), target.key_slots.size());
    std::vector<const Vector*> by_ordinal(target.table->columns.size(), nullptr);
    for (size_t c = 0; c < primary.columns.size(); ++c) {
      rows_.mutable_rows().columns[target.key_slots[c]].Retype(target.table->columns[primary.columns[c].ordinal].type);
      by_ordinal[primary.columns[c].ordinal] = &rows_.rows().columns[target.key_slots[c]];
    }
    std::vector<std::string> keys;
    std::vector<uint32_t> owners;
    for (uint32_t i = 0; i < rows_.size(); ++i) {
      RowRef row{by_ordinal, i};
      if (dropped_[i] || std::any_of(primary.columns.begin(), primary.columns.end(), [&](const auto& c) { return row.IsNull(c.ordinal); })) {
        continue;
      }
      keys.emplace_back();
      codec.AppendPrimaryKey(row, &keys.back());
      owners.push_back(i);
    }
    if (keys.empty()) co_return absl::OkStatus();
    bool check = state_->txn().isolation() == kv::Isolation::kReadCommitted;
    std::vector<std::optional<std::string>> before;
    if (check) {
      CO_ASSIGN_OR_RETURN(before, co_await state_->txn().GetMany(ctx, keys));
    }
    absl::StatusOr<std::vector<std::optional<std::string>>> locked = co_await state_->txn().GetMany(ctx, keys, state_->LockOptions(target.lock));
    if (!locked.ok()) {
      if (target.lock.wait == RowLockWait::kNoWait && ToPgError(locked.status()).sqlstate == sqlstate::kLockNotAvailable) {
        co_return PgError(sqlstate::kLockNotAvailable, StrCat("could not obtain lock on row in relation \"", target.table->name, "\""));
      }
      co_return locked.status();
    }
    bool skips = target.lock.wait == RowLockWait::kSkipLocked;
    for (size_t k = 0; k < keys.size(); ++k) {
      if (!(*locked)[k]) {
        dropped_[owners[k]] = true;  // skipped, or deleted by now
      } else if (check && (*locked)[k] != before[k]) {
        changed_ = true;
      }
      if (check && !skips && !(*locked)[k] && before[k]) changed_ = true;
    }
    co_return absl::OkStatus();
  }

  const PhysicalLockRows& lock_;
  OperatorPtr child_;
  std::vector<SqlType> types_;
  RowStore rows_;
  std::vector<bool> dropped_;
  std::vector<uint32_t> kept_;
  bool changed_ = false, read_ = false;
  size_t at_ = 0;
  Batch out_;
};

}  // namespace

OperatorPtr MakeLockRows(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<LockRowsOperator>(state, node, std::move(child));
}

}  // namespace insula::sql

// Joins by equal keys: a hash table of the right child, probed with the left.
//
//   right rows ──► kept, chained by hash of their keys
//   left batch ──► per row the chain of its hash ──► candidates with equal keys ──► JoinOutput
//
// Candidates are resolved some thousands at a time, so a row with very many partners needs no more memory than others.
// The right side is held in memory (53200 past the limit).
#include <algorithm>

#include "sql/exec/join_output.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

constexpr size_t kCandidates = 2048;

inline uint64_t Spread(uint64_t h) {
  h ^= h >> 32;
  h *= 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 29);
}

class HashJoinOperator : public Operator {
 public:
  HashJoinOperator(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right)
      : Operator(state, node),
        join_(node.As<PhysicalHashJoin>()),
        left_(std::move(left)),
        right_(std::move(right)),
        right_types_(TypesOf(*node.children[1])),
        left_keys_(MakeEvaluators(join_.left_keys)),
        right_keys_(MakeEvaluators(join_.right_keys)),
        output_(join_, TypesOf(*node.children[0]), right_types_),
        rows_(state->memory()),
        held_(state->memory()) {
    for (const auto& k : join_.right_keys) key_types_.push_back(k->type);
    output_.set_null_aware(join_.null_aware);
    keeps_right_ = join_.join == JoinType::kRight || join_.join == JoinType::kFull;
  }

  Task<absl::Status> Open(const Context& ctx) override {
    built_ = false;
    batch_ = nullptr;
    unmatched_at_ = 0;
    left_done_ = false;
    co_return co_await left_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (!built_) {
      CO_RETURN_IF_ERROR(co_await Build(ctx));
      built_ = true;
    }
    output_.ResetOutput(&out_);
    while (!left_done_) {
      EXEC_YIELD(ctx);
      if (batch_ == nullptr) {
        CO_RETURN_IF_ERROR(co_await NextLeft(ctx));
        if (batch_ == nullptr) break;
      }
      CO_RETURN_IF_ERROR(Probe());
      if (out_.rows > 0) co_return &out_;
    }
    left_done_ = true;
    if (keeps_right_) CO_RETURN_IF_ERROR(UnmatchedRight());
    co_return out_.rows == 0 ? nullptr : &out_;
  }

  void Close() override {
    rows_.Clear();
    keys_ = Batch();
    heads_ = {};
    next_ = {};
    hashes_ = {};
    held_.Release();
    left_->Close();
    right_->Close();
  }

 private:
  Task<absl::Status> Build(const Context& ctx) {
    rows_.Reset(right_types_);
    keys_.Reset(key_types_);
    hashes_.clear();
    has_null_key_ = false;
    CO_RETURN_IF_ERROR(co_await right_->Open(ctx));
    Batch keys;
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await right_->Next(ctx));
      if (batch == nullptr) break;
      CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, right_keys_, BatchView(*batch), &keys));
      std::vector<uint64_t> hashes(batch->rows, 0);
      for (const Vector& v : keys.columns) v.HashInto(hashes.data());
      hashes_.insert(hashes_.end(), hashes.begin(), hashes.end());
      for (size_t c = 0; c < keys.columns.size(); ++c) {
        keys_.columns[c].AppendRange(keys.columns[c], 0, keys.rows);
        has_null_key_ |= keys.columns[c].MayHaveNulls() && keys.columns[c].CountNulls() > 0;
      }
      keys_.rows += keys.rows;
      CO_RETURN_IF_ERROR(rows_.Append(*batch));
      CO_RETURN_IF_ERROR(held_.Set(keys_.MemoryUsage() + hashes_.capacity() * 12));
      EXEC_YIELD(ctx);
    }
    right_->Close();
    Chain();
    matched_.assign(keeps_right_ ? rows_.size() : 0, 0);
    co_return absl::OkStatus();
  }

  // Chains lead from low to high row numbers, so partners come in the right side's order.
  void Chain() {
    size_t buckets = 16;
    while (buckets < hashes_.size() * 2) buckets *= 2;
    heads_.assign(buckets, kNoRow);
    next_.assign(hashes_.size(), kNoRow);
    for (size_t i = hashes_.size(); i-- > 0;) {
      if (HasNull(keys_, i)) continue;
      hashes_[i] = Spread(hashes_[i]);
      uint32_t& head = heads_[hashes_[i] & (buckets - 1)];
      next_[i] = head;
      head = static_cast<uint32_t>(i);
    }
  }

  static bool HasNull(const Batch& keys, size_t row) {
    return std::any_of(keys.columns.begin(), keys.columns.end(), [row](const Vector& v) { return v.IsNull(row); });
  }
  bool KeysEqual(size_t left_row, uint32_t right_row) const {
    for (size_t c = 0; c < probe_.columns.size(); ++c) {
      if (!Vector::Equal(probe_.columns[c], left_row, keys_.columns[c], right_row)) return false;
    }
    return true;
  }

  Task<absl::Status> NextLeft(const Context& ctx) {
    CO_ASSIGN_OR_RETURN(batch_, co_await left_->Next(ctx));
    if (batch_ == nullptr) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, left_keys_, BatchView(*batch_), &probe_));
    probe_hashes_.assign(batch_->rows, 0);
    for (const Vector& v : probe_.columns) v.HashInto(probe_hashes_.data());
    output_.BeginLeft(batch_->rows);
    row_ = 0;
    StartRow();
    co_return absl::OkStatus();
  }

  // The chain of left row row_.
  void StartRow() {
    chain_ = kNoRow;
    if (row_ >= batch_->rows) return;
    if (HasNull(probe_, row_)) {
      if (join_.null_aware && rows_.size() > 0) output_.SetUnknown(row_);
      return;
    }
    if (join_.null_aware && has_null_key_) output_.SetUnknown(row_);
    row_hash_ = Spread(probe_hashes_[row_]);
    chain_ = heads_[row_hash_ & (heads_.size() - 1)];
  }

  // Some candidates of the batch, resolved into out_. batch_ becomes null when it is used up.
  absl::Status Probe() {
    candidates_left_.clear();
    candidates_right_.clear();
    size_t first = row_;
    bool one_is_enough = output_.first_match_is_enough() && !output_.has_condition();
    while (row_ < batch_->rows && candidates_left_.size() < kCandidates) {
      if (chain_ == kNoRow) {
        ++row_;
        StartRow();
        continue;
      }
      uint32_t r = chain_;
      chain_ = next_[r];
      if (hashes_[r] != row_hash_ || !KeysEqual(row_, r)) continue;
      candidates_left_.push_back(static_cast<uint32_t>(row_));
      candidates_right_.push_back(r);
      if (one_is_enough) chain_ = kNoRow;
    }
    RETURN_IF_ERROR(output_.Resolve(state_->eval, *batch_, rows_.rows(), candidates_left_, candidates_right_, first, row_,
                                    keeps_right_ ? &matched_ : nullptr, &out_));
    if (row_ >= batch_->rows) batch_ = nullptr;
    return absl::OkStatus();
  }

  absl::Status UnmatchedRight() {
    std::vector<uint32_t> rows;
    while (unmatched_at_ < matched_.size() && rows.size() < kBatchRows) {
      if (!matched_[unmatched_at_]) rows.push_back(static_cast<uint32_t>(unmatched_at_));
      ++unmatched_at_;
    }
    output_.AppendUnmatchedRight(rows_.rows(), rows, &out_);
    return absl::OkStatus();
  }

  const PhysicalHashJoin& join_;
  OperatorPtr left_, right_;
  std::vector<SqlType> right_types_, key_types_;
  std::vector<Evaluator> left_keys_, right_keys_;
  JoinOutput output_;
  bool keeps_right_ = false;

  RowStore rows_;                  // of the right side
  Batch keys_;                     // their keys
  std::vector<uint64_t> hashes_;   // and the hashes of those
  std::vector<uint32_t> heads_;    // by bucket
  std::vector<uint32_t> next_;     // by right row
  std::vector<uint8_t> matched_;   // by right row; right and full joins
  MemoryReservation held_;
  bool built_ = false, has_null_key_ = false, left_done_ = false;
  size_t unmatched_at_ = 0;

  Batch* batch_ = nullptr;         // the left batch at hand
  Batch probe_;
  std::vector<uint64_t> probe_hashes_;
  size_t row_ = 0;                 // left row whose chain is being followed
  uint64_t row_hash_ = 0;
  uint32_t chain_ = kNoRow;
  std::vector<uint32_t> candidates_left_, candidates_right_;
  Batch out_;
};

}  // namespace

OperatorPtr MakeHashJoin(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<HashJoinOperator>(state, node, std::move(left), std::move(right));
}

}  // namespace insula::sql

// Batches with limits over several ranges: one piece after another, until a limit is reached; what is then left is said in the answers.
#include <algorithm>
#include <utility>

#include "kv/client/dist_sender.h"

namespace insula::kv {
namespace {

// How far a batch has come.
class OrderedBatch {
 public:
  explicit OrderedBatch(const v1::BatchRequest& batch) : batch_(batch), header_(batch.header()), progress_(static_cast<size_t>(batch.requests_size())) {
    for (int i = 0; i < batch.requests_size(); ++i) whole_.add_responses();
  }

  // What of `piece` is still to be sent; no requests: nothing.
  v1::BatchRequest Next(BatchPiece& piece) {
    v1::BatchRequest part;
    origins_.clear();
    for (int j = 0; j < piece.batch.requests_size(); ++j) {
      const int origin = piece.origins[static_cast<size_t>(j)];
      v1::Request& request = *piece.batch.mutable_requests(j);
      if (Done(origin, request)) continue;
      const uint64_t rows = progress_[static_cast<size_t>(origin)].rows;
      if (request.scan().max_rows() != 0) request.mutable_scan()->set_max_rows(request.scan().max_rows() - rows);
      if (request.delete_range().max_rows() != 0) request.mutable_delete_range()->set_max_rows(request.delete_range().max_rows() - rows);
      origins_.push_back(origin);
      *part.add_requests() = std::move(request);
    }
    *part.mutable_header() = header_;
    return part;
  }

  // Takes in the answer to `part`, which Next gave.
  void Absorb(const v1::BatchRequest& part, v1::BatchResponse&& response) {
    if (response.has_txn()) {
      JoinTxn(response.txn(), whole_.mutable_txn());
      // The next pieces read where this one did.
      AdoptTxn(response.txn(), header_.mutable_txn());
      header_.set_can_forward_read_ts(false);
    }
    whole_.set_now(std::max(whole_.now(), response.now()));
    whole_.set_timestamp(std::max(whole_.timestamp(), response.timestamp()));
    uint64_t rows = 0, bytes = 0;
    for (int j = 0; j < response.responses_size(); ++j) {
      v1::Response& one = *response.mutable_responses(j);
      const int origin = origins_[static_cast<size_t>(j)];
      Progress& progress = progress_[static_cast<size_t>(origin)];
      progress.rows += one.scan().row_count() + one.delete_range().deleted();
      rows += one.scan().row_count();
      bytes += one.scan().rows().size();
      progress.ended = one.scan().has_resume() || one.delete_range().has_resume();
      JoinResponse(part.requests(j), std::move(one), whole_.mutable_responses(origin));
      if (progress.ended) SetRest(batch_.requests(origin), part.requests(j), whole_.mutable_responses(origin));
    }
    Spend(rows, batch_.header().max_rows(), &rows_spent_);
    Spend(bytes, batch_.header().max_bytes(), &bytes_spent_);
    if (batch_.header().max_rows() != 0 && !exhausted_) header_.set_max_rows(batch_.header().max_rows() - rows_spent_);
    if (batch_.header().max_bytes() != 0 && !exhausted_) header_.set_max_bytes(batch_.header().max_bytes() - bytes_spent_);
  }

  int origin(int j) const { return origins_[static_cast<size_t>(j)]; }
  v1::BatchResponse Take() { return std::move(whole_); }

 private:
  struct Progress {
    uint64_t rows = 0;
    bool ended = false;  // a limit ended it; its answer says what is left
  };

  // Whether nothing of `request`, the next part of request `origin`, is to be sent any more.
  bool Done(int origin, const v1::Request& request) {
    if (!request.has_scan() && !request.has_delete_range()) return false;
    Progress& progress = progress_[static_cast<size_t>(origin)];
    if (progress.ended) return true;
    const uint64_t limit = request.scan().max_rows() + request.delete_range().max_rows();
    const bool exhausted = exhausted_ && request.has_scan();
    if (!exhausted && (limit == 0 || progress.rows < limit)) return false;
    SetRest(batch_.requests(origin), request, whole_.mutable_responses(origin));
    progress.ended = true;
    return true;
  }

  void Spend(uint64_t amount, uint64_t limit, uint64_t* spent) {
    *spent += amount;
    if (limit != 0 && *spent >= limit) exhausted_ = true;
  }

  const v1::BatchRequest& batch_;
  v1::BatchHeader header_;
  v1::BatchResponse whole_;
  std::vector<Progress> progress_;
  std::vector<int> origins_;  // of the requests of the part under way
  uint64_t rows_spent_ = 0;
  uint64_t bytes_spent_ = 0;
  bool exhausted_ = false;  // a limit of the whole batch is used up
};

}  // namespace

Task<v1::BatchResponse> DistSender::SendInOrder(const Context& ctx, const v1::BatchRequest& batch, std::vector<BatchPiece> pieces) {
  OrderedBatch ordered(batch);
  for (BatchPiece& piece : pieces) {
    v1::BatchRequest part = ordered.Next(piece);
    if (part.requests_size() == 0) continue;
    v1::BatchResponse response = co_await Send(ctx, part);
    if (response.has_error()) {
      const int index = response.error().request_index();
      if (index >= 0) response.mutable_error()->set_request_index(ordered.origin(index));
      co_return response;
    }
    ordered.Absorb(part, std::move(response));
  }
  co_return ordered.Take();
}

}  // namespace insula::kv

// Sends batches to wherever their keys are: finds ranges and leaseholders, splits, tries again, joins the answers.
//
//   Send ─► one range? ── yes ─► SendToRange: leaseholder, then the other replicas, with back-off, until one answers
//                └─ no ─► pieces, side by side (one after another where a limit may end the batch early) ─► joined
//
//   what comes back            | what happens
//   ---------------------------+------------------------------------------------------------------------
//   NotLeaseholder             | the node named next, or the next replica
//   Unavailable, unreachable   | the next replica; after a round of all, back-off
//   RangeMismatch              | the cache learns, the batch is taken apart anew; one that names no range: the next replica, and only when
//                              | all have said so is the range looked up again
//   broken after it was sent   | sent again if that is safe (IsReplaySafe); else Ambiguous
//   anything else              | is the answer
//
// Trouble of this kind is borne for `trouble_limit` at a stretch, or until the context ends; then Unavailable (certainly not applied) or
// Ambiguous. A commit that was sent twice and then refused is Ambiguous, too: a copy may still be under way. QueryOutcome settles that.
// A commit with writes in flight (parallel commit) may lie in several ranges; its pieces go out side by side, and it is Ambiguous if any
// of them is. Any other error of it means that one piece for certain was not applied and never will be: so it is not committed.
// Loop thread only.
#ifndef INSULA_KV_CLIENT_DIST_SENDER_H_
#define INSULA_KV_CLIENT_DIST_SENDER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/random.h"
#include "kv/api/sender.h"
#include "kv/client/batch_channel.h"
#include "kv/client/batch_split.h"
#include "kv/client/range_cache.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct DistSenderOptions {
  std::vector<std::string> bootstrap;  // addresses of some nodes
  Duration trouble_limit = 30s;
  Duration min_backoff = 5ms;
  Duration max_backoff = 200ms;
};

class DistSender : public Sender {
 public:
  // All must outlive it.
  DistSender(Executor* executor, Random* random, BatchChannel* channel, DistSenderOptions options);

  Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) override;

  // The range that holds `key`, as far as is known.
  Task<absl::StatusOr<v1::RangeDescriptor>> Locate(const Context& ctx, std::string key);

  // Addresses of some nodes, instead of those that it was made with.
  void SetBootstrap(std::vector<std::string> addresses) { options_.bootstrap = std::move(addresses); }

  RangeCache& cache() { return cache_; }
  uint64_t round_trips() const { return round_trips_; }

 private:
  // Trouble so far, over all tries of one batch.
  struct Trouble {
    MonoTime since{};  // of the present stretch; zero: none
    Duration backoff = Duration::zero();
    bool ambiguous = false;  // a try may have been applied
  };
  struct RangeResult {
    bool reroute = false;
    v1::BatchResponse response;
  };

  // What comes after one call.
  enum class Next { kAtOnce, kBackOff, kReroute, kIsAnswer };
  struct Try;

  // `commits`: the batch is a commit, or a piece of one.
  Task<v1::BatchResponse> SendPiece(const Context& ctx, v1::BatchRequest batch, bool commits);
  Task<RangeResult> SendToRange(const Context& ctx, const v1::RangeDescriptor& range, v1::BatchRequest& batch, bool commits, Trouble& trouble);
  Next NotServed(const Context& ctx, Try& t, const CallResult& call, const std::string& address, Duration took, v1::BatchResponse* answer);
  Task<Next> Refused(const Context& ctx, Try& t, std::string address, v1::BatchResponse response, v1::BatchResponse* answer);
  Task<Next> FollowHint(const Context& ctx, Try& t, std::string address, v1::Error::NotLeaseholder hint);
  Next NotThere(Try& t, const v1::Error::RangeMismatch& mismatch);
  Task<v1::BatchResponse> SendSplit(const Context& ctx, v1::BatchRequest batch, bool commits);
  Task<v1::BatchResponse> SendInOrder(const Context& ctx, const v1::BatchRequest& batch, std::vector<BatchPiece> pieces);
  Task<v1::BatchResponse> SendSideBySide(const Context& ctx, const v1::BatchRequest& batch, std::vector<BatchPiece> pieces, bool commits);
  Task<absl::StatusOr<std::vector<BatchPiece>>> Split(const Context& ctx, const v1::BatchRequest& batch);
  Task<absl::StatusOr<std::optional<std::vector<BatchPiece>>>> TrySplit(const Context& ctx, const v1::BatchRequest& batch);
  // dist_sender_lookup.cc
  const v1::RangeDescriptor* Known(std::string_view key) const;
  Task<v1::BatchResponse> SendLookup(const Context& ctx, v1::BatchRequest batch);
  Task<absl::Status> Lookup(const Context& ctx, const std::string& key);
  Task<bool> IsBack(const Context& ctx, std::string address, std::string key);
  // Waits before the next try; not OK: the batch has had enough trouble.
  Task<absl::Status> BackOff(const Context& ctx, Trouble& trouble, Duration at_least);
  std::vector<std::string> Targets(const v1::RangeDescriptor& range) const;
  void Learn(const v1::BatchResponse& response);
  void NoteServedBy(const v1::RangeDescriptor& range, const std::string& address);
  bool IsSilent(const std::string& address) const;
  void Learn(const v1::RangeDescriptor& range);
  v1::BatchResponse GiveUp(const v1::BatchRequest& batch, const Trouble& trouble, const absl::Status& why) const;

  Executor* executor_;
  Random* random_;
  BatchChannel* channel_;
  DistSenderOptions options_;
  RangeCache cache_;
  v1::RangeDescriptor meta_range_;  // range 1; at first as if it had never been split
  std::map<std::string, std::shared_ptr<Event>> lookups_;  // under way, by key
  // Addresses that let somebody wait for nothing a moment ago, and until when others are asked first. One that is named as the leaseholder
  // meanwhile is asked whether it is back (IsBack).
  std::map<std::string, MonoTime> silent_;
  uint64_t round_trips_ = 0;
};

// Whether a batch that may have been applied may be sent again: it reads, or the server tells the second time from the first.
bool IsReplaySafe(const v1::BatchRequest& batch);

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_DIST_SENDER_H_

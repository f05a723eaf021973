#include "kv/client/database.h"

#include <utility>

#include "base/pgerror/pg_error.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/stream_channel.h"

namespace insula::kv {
namespace {

// Everything below a transaction, in the order in which it must come and go.
struct Stack {
  Stack(Context ctx, Random* random, std::unique_ptr<BatchChannel> owned, BatchChannel* channel, DatabaseOptions options)
      : owned_channel(std::move(owned)),
        sender(&ctx.executor(), random, channel, std::move(options.sender)),
        core(ctx, random, &sender, options.coordinator) {}

  std::unique_ptr<BatchChannel> owned_channel;
  DistSender sender;
  ClientCore core;
};

class DatabaseImpl : public ClientDatabase {
 public:
  explicit DatabaseImpl(std::shared_ptr<Stack> stack) : stack_(std::move(stack)) {}

  std::unique_ptr<Txn> Begin(TxnOptions options) override {
    return std::make_unique<TxnCoordinator>(std::shared_ptr<ClientCore>(stack_, &stack_->core), options);
  }

  Task<absl::StatusOr<int64_t>> Increment(const Context& ctx, std::string key, int64_t by) override {
    while (true) {
      v1::BatchRequest batch;
      batch.mutable_header()->set_version(kBatchVersion);
      batch.mutable_header()->set_trace_id(ctx.info().trace_id);
      batch.mutable_header()->set_tenant_id(ctx.info().tenant_id);
      auto* increment = batch.add_requests()->mutable_increment();
      increment->set_key(key);
      increment->set_by(by);
      v1::BatchResponse response = co_await stack_->sender.Send(ctx, std::move(batch));
      if (!response.has_error()) co_return response.responses(0).increment().value();
      // Counted twice is a gap; that is allowed.
      if (response.error().has_ambiguous() && ctx.status().ok()) continue;
      if (!ctx.status().ok()) co_return ctx.status();
      co_return ToPgStatus(response.error());
    }
  }

  Task<absl::Status> ClearRange(const Context& ctx, std::string start, std::string end) override {
    while (start < end) {
      v1::BatchRequest batch;
      batch.mutable_header()->set_version(kBatchVersion);
      batch.mutable_header()->set_trace_id(ctx.info().trace_id);
      batch.mutable_header()->set_tenant_id(ctx.info().tenant_id);
      batch.add_requests()->mutable_clear_range()->set_key(start);
      batch.mutable_requests(0)->mutable_clear_range()->set_end_key(end);
      v1::BatchResponse response = co_await stack_->sender.Send(ctx, std::move(batch));
      if (response.has_error()) co_return ctx.status().ok() ? ToPgStatus(response.error()) : ctx.status();
      if (!response.responses(0).clear_range().has_resume()) break;
      start = response.responses(0).clear_range().resume().key();
    }
    co_return absl::OkStatus();
  }

  DistSender& sender() override { return stack_->sender; }

 private:
  std::shared_ptr<Stack> stack_;
};

}  // namespace

std::unique_ptr<ClientDatabase> MakeDatabase(Context ctx, const Runtime& runtime, Transport* transport, DatabaseOptions options) {
  auto channel = std::make_unique<StreamChannel>(ctx, transport);
  BatchChannel* raw = channel.get();
  return std::make_unique<DatabaseImpl>(std::make_shared<Stack>(ctx, runtime.random, std::move(channel), raw, std::move(options)));
}

std::unique_ptr<ClientDatabase> MakeDatabase(Context ctx, Random* random, BatchChannel* channel, DatabaseOptions options) {
  return std::make_unique<DatabaseImpl>(std::make_shared<Stack>(ctx, random, nullptr, channel, std::move(options)));
}

}  // namespace insula::kv

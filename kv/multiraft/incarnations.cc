#include "kv/multiraft/incarnations.h"

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

constexpr char kOwnMeta[] = "incarnation";
constexpr char kFormat = 1;
constexpr size_t kLength = 9;

std::string MetaOf(StoreId store) { return StrCat("incarnation-of-", store); }

std::string Encode(uint64_t incarnation) {
  std::string out(1, kFormat);
  AppendFixed64(&out, incarnation);
  return out;
}

// 0: none, or it does not parse.
uint64_t Decode(const std::optional<std::string>& value) {
  return value.has_value() && value->size() == kLength && (*value)[0] == kFormat ? ReadFixed64(value->data() + 1) : 0;
}

}  // namespace

Task<absl::Status> Incarnations::Draw(Context ctx, LogEngine* log, Random* random) {
  const std::optional<std::string> known = log->Meta(kOwnMeta);
  if (known.has_value()) co_return Decode(known) != 0 ? absl::OkStatus() : absl::DataLossError("the store's incarnation is damaged");
  LogBatch batch;
  batch.SetMeta(kOwnMeta, Encode(1 + random->Uniform(UINT64_MAX)));
  co_return co_await log->AppendAndWait(std::move(ctx), std::move(batch));
}

Incarnations::Incarnations(LogEngine* log) : log_(log), own_(Decode(log->Meta(kOwnMeta))) { CHECK_NE(own_, 0u); }

bool Incarnations::Accept(StoreId store, uint64_t incarnation) {
  if (incarnation == 0) return true;
  uint64_t& known = others_[store];
  if (known == 0) known = Decode(log_->Meta(MetaOf(store)));
  if (known == 0) {
    known = incarnation;
    LogBatch batch;
    batch.SetMeta(MetaOf(store), Encode(incarnation));
    log_->AppendLazily(std::move(batch));
  }
  return known == incarnation;
}

}  // namespace insula::kv

#include "kv/client/batch_split.h"

#include <algorithm>
#include <utility>

#include "kv/api/request.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

v1::Span* MutableResume(v1::Response* response) {
  switch (response->value_case()) {
    case v1::Response::kScan:
      return response->mutable_scan()->mutable_resume();
    case v1::Response::kDeleteRange:
      return response->mutable_delete_range()->mutable_resume();
    default:
      return nullptr;
  }
}

void KeepRowsInside(v1::InsertRowsRequest* request) {
  std::string_view rest(request->rows()), key, value;
  const char *from = nullptr, *to = rest.data();
  while (true) {
    const char* here = rest.data();
    if (!storage::TakeString(&rest, &key) || !storage::TakeString(&rest, &value)) break;
    if (key < request->key()) continue;
    if (key >= request->end_key()) break;
    if (from == nullptr) from = here;
    to = rest.data();
  }
  std::string kept = from == nullptr ? std::string() : std::string(from, to);
  request->set_rows(std::move(kept));
}

void SetSpan(v1::Request* request, std::string_view key, std::string_view end_key) {
  auto set = [&](auto* r) {
    r->set_key(std::string(key));
    r->set_end_key(std::string(end_key));
  };
  switch (request->value_case()) {
    case v1::Request::kScan:
      return set(request->mutable_scan());
    case v1::Request::kDeleteRange:
      return set(request->mutable_delete_range());
    case v1::Request::kRefresh:
      return set(request->mutable_refresh());
    case v1::Request::kQueryLocks:
      return set(request->mutable_query_locks());
    case v1::Request::kResolveIntent:
      return set(request->mutable_resolve_intent());
    case v1::Request::kClearRange:
      return set(request->mutable_clear_range());
    case v1::Request::kInsertRows:
      set(request->mutable_insert_rows());
      return KeepRowsInside(request->mutable_insert_rows());
    default:
      return;
  }
}

void JoinScan(v1::ScanResponse&& from, v1::ScanResponse* into) {
  if (into->rows().empty()) {
    into->mutable_rows()->swap(*from.mutable_rows());
  } else {
    into->mutable_rows()->append(from.rows());
  }
  into->set_row_count(into->row_count() + from.row_count());
  if (from.has_resume()) *into->mutable_resume() = std::move(*from.mutable_resume());
}

// Each part may leave something. Resolving or clearing twice does no harm: what is left is from where the first of them stopped to the
// last one's end.
template <typename Answer>
void JoinRest(const Answer& from, Answer* into) {
  if (!from.has_resume()) return;
  const v1::Span& rest = from.resume();
  if (!into->has_resume()) {
    *into->mutable_resume() = rest;
    return;
  }
  v1::Span* whole = into->mutable_resume();
  if (rest.key() < whole->key()) whole->set_key(rest.key());
  if (rest.end_key() > whole->end_key()) whole->set_end_key(rest.end_key());
}

}  // namespace

bool IsLimited(const v1::BatchRequest& batch) {
  if (batch.header().max_rows() != 0 || batch.header().max_bytes() != 0) return true;
  for (const auto& request : batch.requests()) {
    if (request.scan().max_rows() != 0 || request.delete_range().max_rows() != 0) return true;
  }
  return false;
}

bool IsReverse(const v1::BatchRequest& batch) {
  return std::any_of(batch.requests().begin(), batch.requests().end(), [](const auto& r) { return r.has_scan() && r.scan().reverse(); });
}

v1::Request ClipRequest(const v1::Request& request, const v1::BatchHeader& header, std::string_view key, const v1::RangeDescriptor& range, std::string* next) {
  v1::Request part = request;
  KeySpan span = SpanOf(request, header);
  if (span.end_key.empty()) {
    next->clear();
    return part;
  }
  const bool more = !range.end_key().empty() && range.end_key() < span.end_key;
  SetSpan(&part, key, more ? std::string_view(range.end_key()) : span.end_key);
  *next = more ? range.end_key() : std::string();  // last: `key` may view into it
  return part;
}

void JoinResponse(const v1::Request& part, v1::Response&& from, v1::Response* into) {
  if (into->value_case() == v1::Response::VALUE_NOT_SET) {
    *into = std::move(from);
  } else {
    switch (from.value_case()) {
      case v1::Response::kScan:
        JoinScan(std::move(*from.mutable_scan()), into->mutable_scan());
        break;
      case v1::Response::kDeleteRange:
        into->mutable_delete_range()->set_deleted(into->delete_range().deleted() + from.delete_range().deleted());
        if (from.delete_range().has_resume()) *into->mutable_delete_range()->mutable_resume() = from.delete_range().resume();
        break;
      case v1::Response::kQueryLocks:
        into->mutable_query_locks()->mutable_locks()->MergeFrom(from.query_locks().locks());
        JoinRest(from.query_locks(), into->mutable_query_locks());
        break;
      case v1::Response::kResolveIntent:
        JoinRest(from.resolve_intent(), into->mutable_resolve_intent());
        break;
      case v1::Response::kClearRange:
        into->mutable_clear_range()->set_versions(into->clear_range().versions() + from.clear_range().versions());
        JoinRest(from.clear_range(), into->mutable_clear_range());
        break;
      default:
        break;
    }
  }
}

void JoinTxn(const v1::Transaction& part, v1::Transaction* whole) {
  if (!whole->has_meta()) {
    *whole = part;
    return;
  }
  whole->set_read_ts(std::max(whole->read_ts(), part.read_ts()));
  whole->mutable_meta()->set_write_ts(std::max(whole->meta().write_ts(), part.meta().write_ts()));
}

void AdoptTxn(const v1::Transaction& seen, v1::Transaction* txn) {
  if (txn->read_ts() == 0) {
    txn->set_uncertainty_limit(seen.uncertainty_limit());
    txn->set_observed_ts(seen.observed_ts());
    txn->set_observed_range(seen.observed_range());
    txn->set_observed_lease_sequence(seen.observed_lease_sequence());
  }
  if (txn->meta().min_ts() == 0) txn->mutable_meta()->set_min_ts(seen.meta().min_ts());
  txn->set_read_ts(std::max(txn->read_ts(), seen.read_ts()));
  txn->mutable_meta()->set_write_ts(std::max(txn->meta().write_ts(), seen.meta().write_ts()));
}

void SetRest(const v1::Request& request, const v1::Request& part, v1::Response* into) {
  static const v1::BatchHeader* const kNoHeader = new v1::BatchHeader();
  if (into->value_case() == v1::Response::VALUE_NOT_SET) {
    if (request.has_scan()) into->mutable_scan();
    if (request.has_delete_range()) into->mutable_delete_range();
  }
  v1::Span* resume = MutableResume(into);
  if (resume == nullptr) return;
  KeySpan whole = SpanOf(request, *kNoHeader), rest = SpanOf(part, *kNoHeader);
  const bool reverse = request.has_scan() && request.scan().reverse();
  // What the part itself has left, or all of it.
  std::string key(resume->key().empty() ? rest.key : std::string_view(resume->key()));
  std::string end(resume->end_key().empty() ? rest.end_key : std::string_view(resume->end_key()));
  resume->set_key(reverse ? std::string(whole.key) : key);
  resume->set_end_key(reverse ? end : std::string(whole.end_key));
}

}  // namespace insula::kv

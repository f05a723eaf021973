// Addresses: what the meta range says about where ranges are, and how that follows the ranges.
//
//   generation rises (split, merge, replicas) ─► published < generation ─► whoever holds the lease: rows ─► published = generation
//
// A meta range (that is, one that begins with a meta key) has its row in meta1, and any other in meta2 (keys.h). Here, as if there were one level:
//
//   before   z ─► [a, z) 1              a split at m: either side may come first, neither asks for the other
//   right    m ─► [a, m) 1 (what it found, shortened),  z ─► [m, z) 2
//   left     m ─► [a, m) 2
//
// Whoever splits a range writes both rows itself where the old one is as it left it: left, then right, without looking around. Then the sides'
// leaseholders find them there.
//
// Addresses are hints: whoever follows an old one is told by the range itself (RangeMismatch). Invariants of the rows of each level:
//   M1  Where one row's span begins, another's ends: a lookup (first row with an end above the key) never meets a gap. In meta1 a gap for what
//       range 1 holds does no harm: every lookup there is answered by range 1, which knows itself.
//   M2  Of descriptors that hold one key, the one of the highest generation is the newest: only newer ones take a row's place.
//   M3  published only rises: one task per lease writes it, and an entry of an older lease is refused when it is applied.
// A write that was long under way may bring back a row that was removed. It says less than its neighbour at the right, which spans it with
// a higher generation: lookups prefer that one, and the next address written there takes it away.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/address.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

constexpr char kOneLevel = 1, kFormat = 2;
constexpr uint64_t kRowsInside = 64;  // looked at in one go; more are met again
constexpr Duration kPublishTimeout = 10s;
constexpr Duration kFirstRetry = 200ms;
constexpr Duration kLastRetry = 60s;

struct AddressRow {
  std::string key;
  std::string bytes;
  v1::RangeDescriptor range;
};

absl::StatusOr<std::vector<AddressRow>> ParseRows(const v1::ScanResponse& scan) {
  std::vector<AddressRow> rows;
  mvcc::RowsCursor cursor(scan.rows());
  std::string_view key, value;
  while (cursor.Next(&key, &value)) {
    AddressRow& row = rows.emplace_back(AddressRow{std::string(key), std::string(value), {}});
    if (!row.range.ParseFromString(row.bytes)) return absl::DataLossError("a range descriptor in the meta range is damaged");
  }
  return rows;
}

// What the meta ranges say around `range`.
struct Surroundings {
  std::optional<AddressRow> at_end;  // the first row that ends where `range` does, or further right
  bool has_start = false;            // a row ends where `range` begins, or nothing is at its left
  std::vector<AddressRow> inside;    // rows that end between
  bool whole = true;                 // that is all of them
};

Task<absl::StatusOr<Surroundings>> LookAround(const Context& ctx, Sender& sender, const v1::RangeDescriptor& range) {
  v1::BatchRequest batch = NewBatch();
  const std::string end = keys::AddressKey(range.start_key(), range.end_key());
  const std::string before = keys::AddressKeyBefore(range.start_key());
  v1::ScanRequest* at_end = batch.add_requests()->mutable_scan();
  at_end->set_key(end);
  at_end->set_end_key(keys::LookupEnd(range.start_key()));
  at_end->set_max_rows(1);
  const std::string first = keys::LookupStart(range.start_key());
  const bool one_key = first == end;  // all that the range can hold is its start: nothing ends inside
  if (!one_key) {
    v1::ScanRequest* inside = batch.add_requests()->mutable_scan();
    inside->set_key(first);
    inside->set_end_key(end);
    inside->set_max_rows(kRowsInside);
  }
  if (!before.empty()) batch.add_requests()->mutable_get()->set_key(before);
  v1::BatchResponse response = co_await sender.Send(ctx, std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  Surroundings out;
  CO_ASSIGN_OR_RETURN(std::vector<AddressRow> last, ParseRows(response.responses(0).scan()));
  if (!last.empty()) out.at_end = std::move(last.front());
  if (!one_key) {
    CO_ASSIGN_OR_RETURN(out.inside, ParseRows(response.responses(1).scan()));
    out.whole = !response.responses(1).scan().has_resume();
  }
  out.has_start = before.empty() || response.responses(response.responses_size() - 1).get().has_value();
  co_return out;
}

// One row, if it still is what was seen. False: it is not, or that is not known; look again.
Task<absl::StatusOr<bool>> Replace(const Context& ctx, Sender& sender, std::string key, const std::string* expected, const std::string* value) {
  v1::BatchRequest write = NewBatch();
  auto* put = write.add_requests()->mutable_conditional_put();
  put->set_key(std::move(key));
  if (value != nullptr) put->set_value(*value);
  if (expected != nullptr) put->set_expected(*expected);
  v1::BatchResponse written = co_await sender.Send(ctx, std::move(write));
  if (!written.has_error()) co_return true;
  if (written.error().has_condition_failed() || written.error().has_ambiguous()) co_return false;
  co_return FromKvError(written.error());
}

bool IsNewer(const v1::RangeDescriptor& there, const v1::RangeDescriptor& range) { return there.generation() > range.generation(); }

}  // namespace

std::string PublishedKey(RangeId range) { return keys::RangeIdKey(range, keys::RangeField::kPublished); }

std::string EncodePublished(uint64_t generation) {
  std::string bytes(1, kFormat);
  AppendFixed64(&bytes, generation);
  return bytes;
}

absl::StatusOr<uint64_t> LoadPublished(storage::Reader& reader, RangeId range) {
  std::string bytes;
  ASSIGN_OR_RETURN(bool found, reader.Get(storage::ColumnFamily::kRange, PublishedKey(range), &bytes));
  if (!found) return uint64_t{1};
  if (bytes.empty() || (bytes[0] != kFormat && bytes[0] != kOneLevel)) return absl::UnimplementedError("a note about a range's address has a format that this version does not know");
  if (bytes.size() != 9) return absl::DataLossError("a note about a range's address is damaged");
  if (bytes[0] == kOneLevel && range == keys::kMetaRange) return uint64_t{1};
  return ReadFixed64(bytes.data() + 1);
}

bool IsAddressPending(storage::Reader& reader, const v1::RangeDescriptor& range) {
  auto published = LoadPublished(reader, range.range_id());
  return !published.ok() || *published < range.generation();
}

bool Replica::AddressPending() const {
  return group_ != nullptr && IsAddressPending(*group_->engine().NewReader(), group_->descriptor());
}

void Replica::PublishSoon() {
  if (resolver_ == nullptr || group_ == nullptr || lease_.sequence == 0) return;
  address_changed_.NotifyAll();
  if (publishing_ || splits_writing_ > 0 || !AddressPending()) return;
  publishing_ = true;
  background_.Spawn(PublishUntilDone());
}

// Nothing but failures of the meta range holds it up, so it waits for no other range.
Task<void> Replica::PublishUntilDone() {
  Duration wait = kFirstRetry;
  while (group_ != nullptr && lease_.sequence != 0 && AddressPending()) {
    const uint64_t generation = group_->descriptor().generation();
    absl::Status done = co_await PublishAddress(ctx_.WithTimeout(kPublishTimeout));
    if (ctx_.done()) co_return;
    if (!done.ok()) LOG_DEBUG("a range's address could not be written", {"range", range_id_}, {"why", done.ToString()});
    address_tried_.NotifyAll();
    if (group_ == nullptr || group_->descriptor().generation() != generation) {
      wait = kFirstRetry;
      continue;
    }
    if (!AddressPending()) break;
    // A new lease or a new descriptor is a reason to try at once.
    if ((co_await address_changed_.Wait(ctx_.WithTimeout(wait))).ok()) wait = kFirstRetry;
    if (ctx_.done()) co_return;
    wait = std::min<Duration>(2 * wait, kLastRetry);
  }
  publishing_ = false;
  address_tried_.NotifyAll();
}

// Writes this range's address, and notes that it is there.
Task<absl::Status> Replica::PublishAddress(Context ctx) {
  const v1::RangeDescriptor range = group_->descriptor();
  CO_RETURN_IF_ERROR(co_await WriteAddress(ctx, range));
  if (group_ == nullptr || lease_.sequence == 0) co_return UnavailableKvError("the lease went meanwhile");
  PROBE("the address of a range was written");
  storage::WriteBatch done;
  done.Put(storage::ColumnFamily::kRange, PublishedKey(range_id_), EncodePublished(range.generation()));
  Command command;
  command.write_set = done.TakeBytes();
  command.lease_sequence = lease_.sequence;
  co_return co_await Propose(std::move(command));
}

Task<absl::Status> Replica::AwaitPublished(const Context& ctx) {
  PublishSoon();
  while (publishing_ || splits_writing_ > 0) CO_RETURN_IF_ERROR(co_await address_tried_.Wait(ctx));
  co_return AddressPending() ? UnavailableKvError("the range's address is not written yet") : absl::OkStatus();
}

// Writes the addresses of what `before` was split into, if its own is there as it was. False: look around instead. (M1: the left one first.)
Task<absl::StatusOr<bool>> Replica::WriteSplitAddresses(const Context& ctx, v1::RangeDescriptor before, v1::RangeDescriptor left, v1::RangeDescriptor right) {
  const std::string old = before.SerializeAsString(), left_bytes = left.SerializeAsString(), right_bytes = right.SerializeAsString();
  CO_ASSIGN_OR_RETURN(bool wrote_left, co_await Replace(ctx, *deps_.sender, keys::AddressKey(left.start_key(), left.end_key()), nullptr, &left_bytes));
  if (!wrote_left) co_return false;
  co_return co_await Replace(ctx, *deps_.sender, keys::AddressKey(right.start_key(), right.end_key()), &old, &right_bytes);
}

// Writes the address of `range`, unless something newer is there.
Task<absl::Status> Replica::WriteAddress(const Context& ctx, v1::RangeDescriptor range) {
  Sender& sender = *deps_.sender;
  const std::string bytes = range.SerializeAsString();
  const std::string end = keys::AddressKey(range.start_key(), range.end_key());
  for (;;) {
    CO_ASSIGN_OR_RETURN(Surroundings around, co_await LookAround(ctx, sender, range));
    for (const AddressRow& row : around.inside) {
      if (IsNewer(row.range, range)) co_return absl::OkStatus();
    }
    const bool has_end = around.at_end && around.at_end->key == end;
    const bool covers = around.at_end && (range.end_key().empty() || around.at_end->range.start_key() < range.end_key());
    if (covers && IsNewer(around.at_end->range, range)) co_return absl::OkStatus();
    const bool written = has_end && around.at_end->range.generation() == range.generation() && around.at_end->range.range_id() == range.range_id();
    if (!written) {
      const AddressRow* before = around.inside.empty() ? (around.at_end ? &*around.at_end : nullptr) : &around.inside.front();
      if (!around.has_start && before != nullptr && before->range.start_key() < range.start_key()) {  // M1
        v1::RangeDescriptor left = before->range;
        left.set_end_key(range.start_key());
        const std::string left_bytes = left.SerializeAsString();
        CO_ASSIGN_OR_RETURN(bool kept, co_await Replace(ctx, sender, keys::AddressKeyBefore(range.start_key()), nullptr, &left_bytes));
        if (!kept) continue;
      }
      CO_ASSIGN_OR_RETURN(bool put, co_await Replace(ctx, sender, end, has_end ? &around.at_end->bytes : nullptr, &bytes));
      if (!put) continue;
    }
    bool clean = around.whole;
    for (const AddressRow& row : around.inside) {
      CO_ASSIGN_OR_RETURN(bool gone, co_await Replace(ctx, sender, row.key, &row.bytes, nullptr));
      clean = clean && gone;
    }
    if (clean) co_return absl::OkStatus();
  }
}

}  // namespace insula::kv

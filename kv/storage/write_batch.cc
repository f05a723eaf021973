#include "kv/storage/write_batch.h"

#include "base/check.h"
#include "base/strings.h"
#include "kv/storage/varint.h"

namespace insula::kv::storage {
namespace {

constexpr char kFormat = 1;

bool TakeChange(std::string_view* in, WriteBatch::Change* change) {
  if (in->empty()) return false;
  uint8_t head = static_cast<uint8_t>((*in)[0]);
  in->remove_prefix(1);
  uint8_t op = head >> 4, cf = head & 15;
  if (op > static_cast<uint8_t>(WriteBatch::Op::kDeleteRange) || cf >= kColumnFamilies) return false;
  change->op = static_cast<WriteBatch::Op>(op);
  change->cf = static_cast<ColumnFamily>(cf);
  change->value = {};
  if (!TakeString(in, &change->key)) return false;
  return change->op == WriteBatch::Op::kDelete || TakeString(in, &change->value);
}

}  // namespace

std::string_view ColumnFamilyName(ColumnFamily cf) {
  switch (cf) {
    case ColumnFamily::kData: return "data";
    case ColumnFamily::kLock: return "lock";
    case ColumnFamily::kRange: return "range";
  }
  return "?";
}

void WriteBatch::Add(Op op, ColumnFamily cf, std::string_view key, std::string_view value) {
  if (bytes_.empty()) bytes_.push_back(kFormat);
  bytes_.push_back(static_cast<char>(static_cast<uint8_t>(op) << 4 | static_cast<uint8_t>(cf)));
  AppendString(&bytes_, key);
  if (op != Op::kDelete) AppendString(&bytes_, value);
  ++count_;
}

void WriteBatch::Append(const WriteBatch& other) {
  if (other.empty()) return;
  if (bytes_.empty()) {
    *this = other;
    return;
  }
  bytes_.append(other.bytes_, 1);
  count_ += other.count_;
}

absl::StatusOr<WriteBatch> WriteBatch::FromBytes(std::string bytes) {
  WriteBatch batch;
  if (bytes.empty()) return batch;
  if (bytes[0] != kFormat) return absl::UnimplementedError(StrCat("write batch of format ", static_cast<int>(bytes[0]), "; this program knows ", static_cast<int>(kFormat)));
  std::string_view rest(bytes);
  rest.remove_prefix(1);
  Change change;
  size_t count = 0;
  while (!rest.empty()) {
    if (!TakeChange(&rest, &change)) return absl::DataLossError("write batch is damaged");
    ++count;
  }
  batch.bytes_ = std::move(bytes);
  batch.count_ = count;
  return batch;
}

std::string WriteBatch::TakeBytes() {
  count_ = 0;
  return std::move(bytes_);
}

void WriteBatch::Clear() {
  bytes_.clear();
  count_ = 0;
}

WriteBatch::Cursor::Cursor(const WriteBatch& batch) : rest_(batch.bytes_) {
  if (!rest_.empty()) rest_.remove_prefix(1);
}

bool WriteBatch::Cursor::Next(Change* change) {
  if (rest_.empty()) return false;
  bool ok = TakeChange(&rest_, change);
  CHECK(ok) << "write batch was checked when it was made";
  return true;
}

}  // namespace insula::kv::storage

// Changes that an engine makes all together or not at all, as bytes: entries of the consensus log carry them.
//
//   byte 0: format version (1); then one record per change
//   record: operation and column family in one byte, varint key length, key, and for a put varint value length, value;
//           for a range deletion varint end length, end
//
// Changes apply in the order given. Thread safety: a value.
#ifndef INSULA_KV_STORAGE_WRITE_BATCH_H_
#define INSULA_KV_STORAGE_WRITE_BATCH_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula::kv::storage {

enum class ColumnFamily : uint8_t {
  kData = 0,   // versions: user key ‖ inverted timestamp (data_key.h); ordered by user key, then newest first
  kLock = 1,   // one entry per locked key; ordered bytewise
  kRange = 2,  // kv/keys/keys.h; ordered bytewise
};
inline constexpr int kColumnFamilies = 3;
std::string_view ColumnFamilyName(ColumnFamily cf);

class WriteBatch {
 public:
  enum class Op : uint8_t { kPut = 0, kDelete = 1, kDeleteRange = 2 };
  struct Change {
    Op op;
    ColumnFamily cf;
    std::string_view key;
    std::string_view value;  // kDeleteRange: the end, exclusive
  };

  WriteBatch() = default;
  // kDataLoss if `bytes` is not what bytes() gave; kUnimplemented for a newer format.
  static absl::StatusOr<WriteBatch> FromBytes(std::string bytes);

  void Put(ColumnFamily cf, std::string_view key, std::string_view value) { Add(Op::kPut, cf, key, value); }
  void Delete(ColumnFamily cf, std::string_view key) { Add(Op::kDelete, cf, key, {}); }
  // All keys in [start, end).
  void DeleteRange(ColumnFamily cf, std::string_view start, std::string_view end) { Add(Op::kDeleteRange, cf, start, end); }
  // All changes of `other`, after those here.
  void Append(const WriteBatch& other);

  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  size_t byte_size() const { return bytes_.size(); }
  // Empty for an empty batch.
  const std::string& bytes() const { return bytes_; }
  std::string TakeBytes();
  void Clear();

  // Walks the changes: `Cursor c(batch); Change change; while (c.Next(&change)) …`. Views point into the batch.
  class Cursor {
   public:
    explicit Cursor(const WriteBatch& batch);
    bool Next(Change* change);

   private:
    std::string_view rest_;
  };

 private:
  void Add(Op op, ColumnFamily cf, std::string_view key, std::string_view value);
  std::string bytes_;
  size_t count_ = 0;
};

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_WRITE_BATCH_H_

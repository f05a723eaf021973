// A batch under construction that reads see: the engine's state with the batch's own changes on top.
//
// What evaluation works on: requests of one batch see what earlier ones wrote; the changes become the entry's write set.
// Thread safety: none. Its reader must stay usable (engine.h) until the last read.
#ifndef INSULA_KV_STORAGE_READ_WRITER_H_
#define INSULA_KV_STORAGE_READ_WRITER_H_

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kv/storage/engine.h"

namespace insula::kv::storage {

class ReadWriter : public Reader {
 public:
  explicit ReadWriter(std::unique_ptr<Reader> base);
  ~ReadWriter() override;

  void Put(ColumnFamily cf, std::string_view key, std::string_view value);
  void Delete(ColumnFamily cf, std::string_view key);
  // All keys in [start, end), before all other changes; reads go on seeing what was there. For a batch that does nothing else.
  void ClearSpan(ColumnFamily cf, std::string_view start, std::string_view end) { cleared_.DeleteRange(cf, start, end); }

  absl::StatusOr<bool> Get(ColumnFamily cf, std::string_view key, std::string* value) override;
  // Sees the changes made so far; of later ones it may see some.
  std::unique_ptr<Iterator> NewIterator(const IteratorOptions& options) override;
  // Sees all changes made before its last Seek.
  Iterator& point_iterator() override;

  // The changes, in the order of column family and key: the net effect, each key once. Cleared spans come first.
  WriteBatch ToBatch() const;
  bool empty() const;
  // The size of ToBatch(), or a bit more.
  uint64_t bytes() const { return bytes_ + cleared_.bytes().size(); }
  // Whether the batch has a change of `user_key`'s versions.
  bool ChangesVersionsOf(std::string_view user_key) const;
  // Whether the batch puts a value at `key`.
  bool Puts(ColumnFamily cf, std::string_view key) const;
  // Forgets all changes.
  void Clear();
  Reader& base() { return *base_; }

  struct Less {
    using is_transparent = void;
    ColumnFamily cf;
    bool operator()(std::string_view a, std::string_view b) const;
  };
  using Changes = std::map<std::string, std::optional<std::string>, Less>;  // nullopt: deleted

 private:
  std::unique_ptr<Reader> base_;
  WriteBatch cleared_;
  void Change(ColumnFamily cf, std::string_view key, std::optional<std::string> value);

  std::array<Changes, kColumnFamilies> changes_;
  uint64_t bytes_ = 0;  // of their keys and values
  std::unique_ptr<Iterator> point_;
};

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_READ_WRITER_H_

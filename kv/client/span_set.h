// A set of key spans that may grow coarser but never forgets: what a transaction has read (to refresh) or locked (to resolve).
//
//   Add a, Add [c, f), Add b  ->  a, b, [c, f)     over its budget of bytes: [a, f)
//
// Thread safety: none.
#ifndef INSULA_KV_CLIENT_SPAN_SET_H_
#define INSULA_KV_CLIENT_SPAN_SET_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proto/kv/api.pb.h"

namespace insula::kv {

class SpanSet {
 public:
  explicit SpanSet(size_t budget_bytes = 256 << 10) : budget_(budget_bytes) {}

  // [key, end_key); the single key when end_key is empty.
  void Add(std::string_view key, std::string_view end_key);
  // In order, not overlapping, each once.
  const std::vector<v1::Span>& spans();
  bool empty() const { return spans_.empty(); }
  void Clear() {
    spans_.clear();
    bytes_ = 0;
    sorted_ = true;
  }
  size_t bytes() const { return bytes_; }

 private:
  void Sort();
  void Condense();

  size_t budget_;
  std::vector<v1::Span> spans_;
  size_t bytes_ = 0;
  bool sorted_ = true;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CLIENT_SPAN_SET_H_

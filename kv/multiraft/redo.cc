#include "kv/multiraft/redo.h"

#include "base/strings.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {
constexpr char kFormat = 1;
}  // namespace

std::string EncodeRedo(const Redo& redo) {
  std::string out{kFormat, static_cast<char>(redo.kind)};
  for (uint64_t v : {redo.range, redo.index, redo.term, redo.right, redo.next_replica}) storage::AppendVarint(&out, v);
  if (redo.kind == Redo::Kind::kMerge) storage::AppendVarint(&out, redo.right_applied);
  return out;
}

absl::Status DecodeRedo(std::string_view bytes, Redo* redo) {
  if (bytes.size() < 2) return absl::DataLossError("a redo record is damaged");
  if (bytes[0] != kFormat || bytes[1] < 1 || bytes[1] > 4) {
    return absl::FailedPreconditionError(StrCat("a redo record of format ", static_cast<int>(bytes[0]), " and kind ", static_cast<int>(bytes[1]), " is not known to this program: use the program that wrote it"));
  }
  redo->kind = static_cast<Redo::Kind>(bytes[1]);
  bytes.remove_prefix(2);
  for (uint64_t* v : {&redo->range, &redo->index, &redo->term, &redo->right, &redo->next_replica}) {
    if (!storage::TakeVarint(&bytes, v)) return absl::DataLossError("a redo record is damaged");
  }
  if (redo->kind == Redo::Kind::kMerge && !storage::TakeVarint(&bytes, &redo->right_applied)) return absl::DataLossError("a redo record is damaged");
  return absl::OkStatus();
}

}  // namespace insula::kv

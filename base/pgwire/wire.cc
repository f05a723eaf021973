#include "base/pgwire/wire.h"

#include "base/pgerror/pg_error.h"

namespace insula::pgwire {

char WireReader::Byte() {
  std::string_view b = Bytes(1);
  return b.empty() ? '\0' : b[0];
}

int16_t WireReader::Int16() {
  std::string_view b = Bytes(2);
  return b.empty() ? 0 : static_cast<int16_t>(GetInt16(b.data()));
}

int32_t WireReader::Int32() {
  std::string_view b = Bytes(4);
  return b.empty() ? 0 : static_cast<int32_t>(GetInt32(b.data()));
}

std::string_view WireReader::CString() {
  size_t zero = in_.find('\0');
  if (zero == std::string_view::npos) {
    Fail();
    return {};
  }
  std::string_view out = in_.substr(0, zero);
  in_.remove_prefix(zero + 1);
  return out;
}

std::string_view WireReader::Bytes(size_t n) {
  if (failed_ || n > in_.size()) {
    Fail();
    return {};
  }
  std::string_view out = in_.substr(0, n);
  in_.remove_prefix(n);
  return out;
}

std::string_view WireReader::Rest() { return Bytes(in_.size()); }

int WireReader::Count16(size_t min_size) {
  // Counts are unsigned on the wire: a statement may have 65535 parameters.
  int n = static_cast<uint16_t>(Int16());
  if (static_cast<size_t>(n) * min_size > in_.size()) {
    Fail();
    return 0;
  }
  return n;
}

absl::Status WireReader::Finish() const {
  if (failed_) return ProtocolError("insufficient data left in message");
  if (!in_.empty()) return ProtocolError("invalid message format");
  return absl::OkStatus();
}

absl::Status ProtocolError(std::string_view message) { return PgError(sqlstate::kProtocolViolation, message); }

}  // namespace insula::pgwire

#include "sql/session/session_value.h"

#include "base/pgwire/wire.h"

namespace insula::sql {
namespace {

constexpr char kVersion = 1;

void AppendText(std::string* out, std::string_view s) {
  pgwire::AppendInt32(out, static_cast<uint32_t>(s.size()));
  out->append(s);
}

std::string ReadText(pgwire::WireReader* in) {
  int32_t size = in->Int32();
  if (size < 0) {
    in->Fail();
    return "";
  }
  return std::string(in->Bytes(size));
}

// A count of things of at least `min_size` bytes.
uint32_t ReadCount(pgwire::WireReader* in, size_t min_size) {
  uint32_t n = static_cast<uint32_t>(in->Int32());
  if (n * min_size > in->remaining()) {
    in->Fail();
    return 0;
  }
  return n;
}

}  // namespace

std::string SessionValue::Encode() const {
  std::string out(1, kVersion);
  AppendText(&out, user);
  AppendText(&out, database);
  pgwire::AppendInt32(&out, static_cast<uint32_t>(settings.size()));
  for (const auto& [name, value] : settings) {
    AppendText(&out, name);
    AppendText(&out, value);
  }
  pgwire::AppendInt32(&out, static_cast<uint32_t>(prepared.size()));
  for (const PreparedValue& p : prepared) {
    AppendText(&out, p.name);
    AppendText(&out, p.sql);
    out.push_back(p.from_sql ? 1 : 0);
    pgwire::AppendInt32(&out, static_cast<uint32_t>(p.declared_types.size()));
    for (Oid type : p.declared_types) pgwire::AppendInt32(&out, type);
  }
  return out;
}

absl::StatusOr<SessionValue> SessionValue::Decode(std::string_view bytes) {
  pgwire::WireReader in(bytes);
  char version = in.Byte();
  if (!in.failed() && version != kVersion) return absl::UnimplementedError("a session value of another version");
  SessionValue out;
  out.user = ReadText(&in);
  out.database = ReadText(&in);
  for (uint32_t i = ReadCount(&in, 8); i > 0 && !in.failed(); --i) {
    std::string name = ReadText(&in);
    out.settings.emplace_back(std::move(name), ReadText(&in));
  }
  for (uint32_t i = ReadCount(&in, 13); i > 0 && !in.failed(); --i) {
    PreparedValue p;
    p.name = ReadText(&in);
    p.sql = ReadText(&in);
    p.from_sql = in.Byte() != 0;
    for (uint32_t j = ReadCount(&in, 4); j > 0 && !in.failed(); --j) p.declared_types.push_back(static_cast<Oid>(in.Int32()));
    out.prepared.push_back(std::move(p));
  }
  if (!in.Finish().ok()) return absl::InvalidArgumentError("not a session value");
  return out;
}

}  // namespace insula::sql

// Functions about the session, settings, sequences and sizes.
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/io.h"

namespace insula::sql::internal {
namespace {

using Args = std::span<const Vector* const>;
using V = std::string_view;
using S = absl::StatusOr<std::string>;
using I = absl::StatusOr<int64_t>;
using OptionalText = absl::StatusOr<std::optional<std::string>>;

// By number, as pg_database.encoding has them.
constexpr std::string_view kEncodings[] = {
    "SQL_ASCII",  "EUC_JP",     "EUC_CN", "EUC_KR",     "EUC_TW", "EUC_JIS_2004", "UTF8",   "MULE_INTERNAL", "LATIN1",
    "LATIN2",     "LATIN3",     "LATIN4", "LATIN5",     "LATIN6", "LATIN7",       "LATIN8", "LATIN9",        "LATIN10",
    "WIN1256",    "WIN1258",    "WIN866", "WIN874",     "KOI8R",  "WIN1251",      "WIN1252", "ISO_8859_5",   "ISO_8859_6",
    "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1253",   "WIN1254", "WIN1255",     "WIN1257", "KOI8U",        "SJIS",
    "BIG5",       "GBK",        "UHC",    "GB18030",    "JOHAB",  "SHIFT_JIS_2004"};

// ---- sizes

// 10 kB, 200 MB: halves of the next unit up, from ten thousand of the smaller one on.
std::string SizePretty(int64_t size) {
  static constexpr std::string_view kUnits[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
  constexpr int64_t kLimit = 10 * 1024, kLimit2 = 2 * kLimit - 1;
  auto magnitude = [](int64_t v) { return v < 0 ? -static_cast<uint64_t>(v) : static_cast<uint64_t>(v); };
  if (magnitude(size) < kLimit) return StrCat(size, " bytes");
  size_t unit = 1;
  size >>= 9;  // keeps one bit for rounding
  while (unit + 1 < std::size(kUnits) && magnitude(size) >= kLimit2) {
    size >>= 10;
    ++unit;
  }
  int64_t rounded = size >= 0 ? (size + 1) / 2 : (size - 1) / 2;
  return StrCat(rounded, " ", kUnits[unit]);
}

I SizeBytes(V text) {
  auto invalid = [&] {
    return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid size: \"", text, "\""));
  };
  V s = text;
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  size_t n = 0;
  while (n < s.size() && ((s[n] >= '0' && s[n] <= '9') || s[n] == '.' || s[n] == '-' || s[n] == '+')) ++n;
  auto number = Numeric::Parse(s.substr(0, n));
  if (n == 0 || !number.ok()) return invalid();
  V unit = s.substr(n);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  while (!unit.empty() && unit.back() == ' ') unit.remove_suffix(1);
  std::string lower = AsciiLower(unit);
  static constexpr std::string_view kUnits[] = {"bytes", "kb", "mb", "gb", "tb", "pb"};
  int64_t factor = 0, worth = 1;
  for (auto name : kUnits) {
    if (lower == name || (name == "bytes" && (lower.empty() || lower == "b"))) factor = worth;
    worth *= 1024;
  }
  if (factor == 0) {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat("invalid size: \"", text, "\""))
        .Detail(StrCat("Invalid size unit: \"", unit, "\"."))
        .Hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
        .Build();
  }
  ASSIGN_OR_RETURN(Numeric bytes, Numeric::Multiply(*number, Numeric(factor)));
  return bytes.ToInt64();
}

// ---- settings

OptionalText CurrentSetting(FunctionContext& ctx, V name, bool missing_ok) {
  ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
  auto value = session->GetSetting(name);
  if (!value && !missing_ok) {
    return PgError(sqlstate::kUndefinedObject, StrCat("unrecognized configuration parameter \"", name, "\""));
  }
  return value;
}

absl::Status SetConfig(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) return PgError("22004", "SET requires parameter name");
    V value = args[1]->IsNull(i) ? V() : args[1]->bytes(i);
    bool local = !args[2]->IsNull(i) && args[2]->bools()[i];
    ASSIGN_OR_RETURN(std::string shown, session->SetSetting(args[0]->bytes(i), value, local));
    out->SetBytes(i, shown);
  }
  return absl::OkStatus();
}

absl::Status TypeOf(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) out->ints()[i] = args[0]->type().oid;
  return absl::OkStatus();
}

absl::Status ColumnSize(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    const TypeInfo* t = FindType(args[0]->type().oid);
    int64_t size = t != nullptr && t->typlen > 0 ? t->typlen : 0;
    if (size == 0) {
      std::string payload;
      AppendPayload(args[0]->kind(), args[0]->Get(i), &payload);
      size = static_cast<int64_t>(payload.size()) + (payload.size() < 127 ? 1 : 4);
    }
    out->ints()[i] = size;
  }
  return absl::OkStatus();
}

absl::Status CollationFor(FunctionContext&, Args args, size_t rows, Vector* out) {
  Oid type = args[0]->type().oid;
  const TypeInfo* t = FindType(type);
  if (t == nullptr || (!t->collatable && type != oid::kUnknown)) {
    return PgError(sqlstate::kDatatypeMismatch, StrCat("collations are not supported by type ", FormatType(type)));
  }
  for (size_t i = 0; i < rows; ++i) {
    if (type == oid::kUnknown) out->SetNull(i);
    else out->SetBytes(i, type == oid::kName ? "\"C\"" : "\"default\"");
  }
  return absl::OkStatus();
}

void RegisterSession(Registrar& r) {
  r.Scalar("current_user", Lift<[](FunctionContext& ctx) -> S {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->CurrentUser();
           }>);
  r.Scalar("session_user", Lift<[](FunctionContext& ctx) -> S {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->SessionUser();
           }>);
  r.Scalar("current_database", Lift<[](FunctionContext& ctx) -> S {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->CurrentDatabase();
           }>);
  r.Scalar("current_schema", Lift<[](FunctionContext& ctx) -> OptionalText {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             auto schemas = session->CurrentSchemas(false);
             return schemas.empty() ? std::optional<std::string>() : schemas.front();
           }>);
  r.Scalar("current_schemas", Lift<[](FunctionContext& ctx, bool implicit) -> S {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             std::vector<Datum> names;
             for (std::string& name : session->CurrentSchemas(implicit)) names.push_back(Datum::Bytes(std::move(name)));
             return ArrayValue::Of(oid::kName, std::move(names)).Encode();
           }>);
  r.Scalar("pgsql_version", Lift<[](FunctionContext& ctx) -> S {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->Version();
           }>);
  r.Scalar("pg_backend_pid", Lift<[](FunctionContext& ctx) -> I {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->BackendPid();
           }>);
  for (V source : {"pg_postmaster_start_time", "pg_conf_load_time"}) {
    r.Scalar(source, Lift<[](FunctionContext& ctx) -> I {
               ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
               return session->BackendStartUs();
             }>);
  }
  r.Scalar("inet_client_port", Lift<[](FunctionContext& ctx) -> absl::StatusOr<std::optional<int64_t>> {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             int32_t port = session->ClientPort();
             return port < 0 ? std::optional<int64_t>() : std::optional<int64_t>(port);
           }>);
  r.Scalar("pg_is_in_recovery", Lift<[](FunctionContext& ctx) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
             return session->InRecovery();
           }>);
  for (V source : {"pg_current_xact_id", "pg_current_xact_id_if_assigned"}) {
    r.Scalar(source, Lift<[](FunctionContext& ctx) -> I {
               ASSIGN_OR_RETURN(SessionInfo * session, ctx.Session());
               return static_cast<int64_t>(session->TransactionId());
             }>);
  }
  r.Scalar("show_config_by_name", Lift<[](FunctionContext& ctx, V name) { return CurrentSetting(ctx, name, false); }>);
  r.Scalar("show_config_by_name_missing_ok", Lift<[](FunctionContext& ctx, V name, bool ok) { return CurrentSetting(ctx, name, ok); }>);
  r.Scalar("set_config_by_name", SetConfig);
}

void RegisterSequences(Registrar& r) {
  r.NeedsSequence("nextval_oid");
  r.Scalar("nextval_oid", Lift<[](FunctionContext& ctx, int64_t seq) -> I {
             ASSIGN_OR_RETURN(SequenceAccess * sequences, ctx.Sequences());
             return sequences->Next(static_cast<Oid>(seq));
           }>);
  r.Scalar("currval_oid", Lift<[](FunctionContext& ctx, int64_t seq) -> I {
             ASSIGN_OR_RETURN(SequenceAccess * sequences, ctx.Sequences());
             return sequences->Current(static_cast<Oid>(seq));
           }>);
  r.Scalar("lastval", Lift<[](FunctionContext& ctx) -> I {
             ASSIGN_OR_RETURN(SequenceAccess * sequences, ctx.Sequences());
             return sequences->Last();
           }>);
  r.Scalar("setval_oid", Lift<[](FunctionContext& ctx, int64_t seq, int64_t value) -> I {
             ASSIGN_OR_RETURN(SequenceAccess * sequences, ctx.Sequences());
             RETURN_IF_ERROR(sequences->Set(static_cast<Oid>(seq), value, true));
             return value;
           }>);
  r.Scalar("setval3_oid", Lift<[](FunctionContext& ctx, int64_t seq, int64_t value, bool called) -> I {
             ASSIGN_OR_RETURN(SequenceAccess * sequences, ctx.Sequences());
             RETURN_IF_ERROR(sequences->Set(static_cast<Oid>(seq), value, called));
             return value;
           }>);
}

}  // namespace

void RegisterSystemFunctions(Registrar& r) {
  RegisterSession(r);
  RegisterSequences(r);
  for (V source : {"getdatabaseencoding", "pg_client_encoding"}) r.Scalar(source, Lift<[]() { return std::string("UTF8"); }>);
  r.Scalar("PG_encoding_to_char", Lift<[](int64_t n) {
             return n >= 0 && n < static_cast<int64_t>(std::size(kEncodings)) ? std::string(kEncodings[n]) : std::string();
           }>);
  r.Scalar("PG_char_to_encoding", Lift<[](V name) -> int64_t {
             std::string wanted;
             for (char c : AsciiLower(name)) {
               if (c != '_' && c != '-') wanted.push_back(c);
             }
             if (wanted == "unicode") wanted = "utf8";
             for (size_t i = 0; i < std::size(kEncodings); ++i) {
               std::string known;
               for (char c : AsciiLower(kEncodings[i])) {
                 if (c != '_') known.push_back(c);
               }
               if (known == wanted) return static_cast<int64_t>(i);
             }
             return -1;
           }>);
  r.Scalar("pg_encoding_max_length_sql", Lift<[](int64_t n) -> std::optional<int64_t> {
             if (n < 0 || n >= static_cast<int64_t>(std::size(kEncodings))) return std::nullopt;
             return n == 6 ? 4 : 1;
           }>);
  r.Scalar("pg_size_pretty", Lift<[](int64_t n) { return SizePretty(n); }>);
  r.Scalar("pg_size_pretty_numeric", Lift<[](const Numeric& n) -> S {
             ASSIGN_OR_RETURN(int64_t whole, n.Truncate(0).ToInt64());
             return SizePretty(whole);
           }>);
  r.Scalar("pg_size_bytes", Lift<[](V text) { return SizeBytes(text); }>);
  r.Scalar("pg_typeof", TypeOf);
  r.Scalar("pg_column_size", ColumnSize);
  r.Scalar("pg_collation_for", CollationFor);
  r.Scalar("pg_jit_available", Lift<[]() { return false; }>);
  r.Scalar("pg_my_temp_schema", Lift<[]() -> int64_t { return 0; }>);
  r.Scalar("pg_is_other_temp_schema", Lift<[](int64_t) { return false; }>);
  r.Scalar("pg_trigger_depth", Lift<[]() -> int64_t { return 0; }>);
}

}  // namespace insula::sql::internal

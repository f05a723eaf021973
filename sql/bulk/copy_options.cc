#include "sql/bulk/copy_options.h"

#include <optional>
#include <set>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

absl::Status Bad(std::string_view message) { return PgError(sqlstate::kInvalidParameterValue, message); }

}  // namespace

absl::StatusOr<CopyOptions> ParseCopyOptions(const std::vector<ast::Option>& options, bool from) {
  CopyOptions out;
  std::optional<std::string> delimiter, null_text, quote, escape;
  std::set<std::string> seen;
  for (const ast::Option& o : options) {
    if (!seen.insert(o.name).second) {
      return PgErrorBuilder(sqlstate::kSyntaxError, "conflicting or redundant options").Position(o.position).Build();
    }
    std::string value = o.value.value_or("");
    auto columns = [&](std::vector<std::string>* list) {
      *list = o.list;
      if (o.value) list->push_back(*o.value);
    };
    if (o.name == "format") {
      if (value == "csv") {
        out.csv = true;
      } else if (value == "binary") {
        return PgUnsupported("COPY in binary format");
      } else if (value != "text") {
        return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat("COPY format \"", value, "\" not recognized")).Position(o.position).Build();
      }
    } else if (o.name == "delimiter") {
      delimiter = value;
    } else if (o.name == "null") {
      null_text = value;
    } else if (o.name == "header") {
      if (value == "match") {
        if (!from) return Bad("cannot use \"match\" with HEADER in COPY TO");
        out.header = CopyOptions::kMatch;
      } else {
        auto on = o.AsBool();
        if (!on) return PgError(sqlstate::kSyntaxError, "header requires a Boolean value or \"match\"");
        out.header = *on ? CopyOptions::kSkip : CopyOptions::kNone;
      }
    } else if (o.name == "quote") {
      quote = value;
    } else if (o.name == "escape") {
      escape = value;
    } else if (o.name == "force_quote") {
      out.force_quote_all = o.star;
      columns(&out.force_quote);
    } else if (o.name == "force_not_null") {
      columns(&out.force_not_null);
    } else if (o.name == "force_null") {
      columns(&out.force_null);
    } else if (o.name == "encoding") {
      std::string lower = AsciiLower(value);
      if (lower != "utf8" && lower != "utf-8" && lower != "unicode") return PgUnsupported(StrCat("COPY with encoding \"", value, "\""));
    } else if (o.name == "freeze") {
      // About PostgreSQL's tuple headers: rows are the same either way.
      if (!o.AsBool()) return PgError(sqlstate::kSyntaxError, "freeze requires a Boolean value");
    } else {
      return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("option \"", o.name, "\" not recognized")).Position(o.position).Build();
    }
  }
  if (out.csv) {
    out.delimiter = ',';
    out.null_text = "";
  }
  auto one_byte = [](const std::string& s) { return s.size() == 1; };
  if (delimiter) {
    if (!one_byte(*delimiter)) return PgError(sqlstate::kFeatureNotSupported, "COPY delimiter must be a single one-byte character");
    if ((*delimiter)[0] == '\n' || (*delimiter)[0] == '\r') return Bad("COPY delimiter cannot be newline or carriage return");
    if (!out.csv && std::string_view("\\.abcdefghijklmnopqrstuvwxyz0123456789").find((*delimiter)[0]) != std::string_view::npos) {
      return Bad(StrCat("COPY delimiter cannot be \"", *delimiter, "\""));
    }
    out.delimiter = (*delimiter)[0];
  }
  if (null_text) {
    if (null_text->find_first_of("\r\n") != std::string::npos) return Bad("COPY null representation cannot use newline or carriage return");
    out.null_text = *null_text;
  }
  auto csv_only = [&](bool given, std::string_view what) -> absl::Status {
    if (given && !out.csv) return PgError(sqlstate::kFeatureNotSupported, StrCat("COPY ", what, " available only in CSV mode"));
    return absl::OkStatus();
  };
  for (auto& [given, what] : {std::pair(quote.has_value(), std::string_view("quote")), {escape.has_value(), "escape"},
                              {out.force_quote_all || !out.force_quote.empty(), "force quote"},
                              {!out.force_not_null.empty(), "force not null"}, {!out.force_null.empty(), "force null"}}) {
    absl::Status s = csv_only(given, what);
    if (!s.ok()) return s;
  }
  if (quote) {
    if (!one_byte(*quote)) return PgError(sqlstate::kFeatureNotSupported, "COPY quote must be a single one-byte character");
    out.quote = out.escape = (*quote)[0];
  }
  if (escape) {
    if (!one_byte(*escape)) return PgError(sqlstate::kFeatureNotSupported, "COPY escape must be a single one-byte character");
    out.escape = (*escape)[0];
  }
  if (out.csv && out.delimiter == out.quote) return Bad("COPY delimiter and quote must be different");
  if (out.null_text.find(out.delimiter) != std::string::npos) return Bad("COPY delimiter must not appear in the NULL specification");
  if (out.csv && out.null_text.find(out.quote) != std::string::npos) return Bad("CSV quote character must not appear in the NULL specification");
  if (from && (out.force_quote_all || !out.force_quote.empty())) return PgError(sqlstate::kFeatureNotSupported, "COPY force quote only available using COPY TO");
  if (!from && !out.force_not_null.empty()) return PgError(sqlstate::kFeatureNotSupported, "COPY force not null only available using COPY FROM");
  if (!from && !out.force_null.empty()) return PgError(sqlstate::kFeatureNotSupported, "COPY force null only available using COPY FROM");
  return out;
}

}  // namespace insula::sql

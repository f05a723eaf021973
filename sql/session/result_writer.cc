#include "sql/session/result_writer.h"

#include "base/pgerror/pg_error.h"
#include "base/pgwire/wire.h"
#include "base/strings.h"
#include "sql/types/type.h"

namespace insula::sql {

absl::StatusOr<std::vector<int16_t>> ExpandFormats(const std::vector<int16_t>& formats, size_t columns) {
  for (int16_t f : formats) {
    if (f != 0 && f != 1) return PgError(sqlstate::kInvalidParameterValue, StrCat("unsupported format code: ", f));
  }
  if (formats.size() <= 1) return std::vector<int16_t>(columns, formats.empty() ? int16_t{0} : formats[0]);
  if (formats.size() != columns) {
    return PgError(sqlstate::kProtocolViolation,
                   StrCat("bind message has ", formats.size(), " result formats but query has ", columns, " columns"));
  }
  return formats;
}

void AppendResultDescription(const std::vector<ResultColumn>& columns, const std::vector<int16_t>& formats, std::string* out) {
  pgwire::MessageBuilder m(out, pgwire::backend::kRowDescription);
  m.Int16(static_cast<int>(columns.size()));
  for (size_t i = 0; i < columns.size(); ++i) {
    const ResultColumn& c = columns[i];
    const TypeInfo* type = FindType(c.type.oid);
    m.CString(c.name).Int32(c.table).Int16(c.attnum).Int32(c.type.oid).Int16(type != nullptr ? type->typlen : -1);
    m.Int32(c.type.typmod).Int16(i < formats.size() ? formats[i] : 0);
  }
}

absl::Status AppendRows(const IoContext& io, const Batch& batch, size_t begin, size_t end, const std::vector<int16_t>& formats,
                        std::string* out) {
  for (size_t row = begin; row < end; ++row) {
    size_t start = out->size();
    absl::Status status;
    {
      pgwire::MessageBuilder m(out, pgwire::backend::kDataRow);
      m.Int16(static_cast<int>(batch.columns.size()));
      for (size_t c = 0; c < batch.columns.size() && status.ok(); ++c) {
        const Vector& column = batch.columns[c];
        if (column.IsNull(row)) {
          m.Int32(-1);
          continue;
        }
        size_t length_at = out->size();
        m.Int32(0);
        if (formats[c] == 0) {
          TextOutAppend(io, column, row, out);
        } else {
          status = BinarySend(io, column, row, out);
        }
        pgwire::PutInt32(out->data() + length_at, static_cast<uint32_t>(out->size() - length_at - 4));
      }
    }
    if (!status.ok()) {
      out->resize(start);
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace insula::sql

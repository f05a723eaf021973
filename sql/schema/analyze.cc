// ANALYZE and VACUUM [ANALYZE]: row counts and, per column, how many distinct values, NULLs and bytes.
//
// All rows are read once, page by page. Distinct values are estimated from the smallest hashes seen (k minimum values: with the
// k-th smallest of uniformly spread hashes at fraction f of their range, there are about (k-1)/f of them).
#include <algorithm>
#include <set>

#include "sql/schema/ddl_internal.h"
#include "sql/schema/table_data.h"

namespace insula::sql {
namespace {

constexpr size_t kSketchSize = 1024;

class DistinctSketch {
 public:
  void Add(uint64_t hash) {
    if (smallest_.size() == kSketchSize && hash >= *smallest_.rbegin()) return;
    smallest_.insert(hash);
    if (smallest_.size() > kSketchSize) smallest_.erase(std::prev(smallest_.end()));
  }
  double Estimate() const {
    if (smallest_.size() < kSketchSize) return static_cast<double>(smallest_.size());
    double fraction = static_cast<double>(*smallest_.rbegin()) / 18446744073709551616.0;
    return static_cast<double>(kSketchSize - 1) / fraction;
  }

 private:
  std::set<uint64_t> smallest_;
};

uint64_t Mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 33);
}

struct ColumnFacts {
  DistinctSketch distinct;
  uint64_t nulls = 0;
  double bytes = 0;
};

double WidthOf(const Vector& v, size_t i) {
  switch (v.kind()) {
    case PhysicalKind::kBytes: return static_cast<double>(v.bytes(i).size());
    case PhysicalKind::kBool: return 1;
    case PhysicalKind::kNumeric: return 8;
    default: {
      int16_t length = GetType(v.type().oid).typlen;
      return length > 0 ? length : 8;
    }
  }
}

}  // namespace

Task<absl::StatusOr<v1::TableStatistics>> Ddl::GatherStatistics(const TablePtr& table) {
  std::vector<ColumnFacts> facts(table->columns.size());
  uint64_t rows = 0;
  std::vector<uint64_t> hashes;
  TableData data(this);
  CO_RETURN_IF_ERROR(co_await data.ForEach(table, [&](Batch* batch) -> Task<absl::Status> {
    rows += batch->rows;
    for (size_t c = 0; c < facts.size(); ++c) {
      const Vector& v = batch->columns[c];
      bool hashable = IsHashable(v.type().oid) || IsOrderable(v.type().oid);
      if (hashable) {
        hashes.assign(batch->rows, 0);
        v.HashInto(hashes.data());
      }
      for (size_t i = 0; i < batch->rows; ++i) {
        if (v.IsNull(i)) {
          ++facts[c].nulls;
          continue;
        }
        facts[c].bytes += WidthOf(v, i);
        if (hashable) facts[c].distinct.Add(Mix(hashes[i]));
      }
    }
    co_return absl::OkStatus();
  }));
  v1::TableStatistics out;
  out.set_version(1);
  out.set_row_count(static_cast<double>(rows));
  out.set_analyzed_at_us(c_.functions->ClockUs());
  for (size_t c = 0; c < facts.size(); ++c) {
    double present = static_cast<double>(rows - facts[c].nulls);
    auto* column = out.add_columns();
    column->set_column_id(table->columns[c].id);
    column->set_distinct(std::min(facts[c].distinct.Estimate(), present));
    column->set_null_fraction(rows == 0 ? 0 : static_cast<double>(facts[c].nulls) / static_cast<double>(rows));
    column->set_average_width(present == 0 ? 0 : facts[c].bytes / present);
  }
  co_return out;
}

Task<absl::StatusOr<DdlResult>> Ddl::Vacuum(const ast::VacuumStatement& s) {
  DdlResult result{s.vacuum ? "VACUUM" : "ANALYZE", std::nullopt};
  std::vector<TablePtr> tables;
  if (s.targets.empty()) {
    for (const TablePtr& t : snapshot().Relations(false)) {
      if (t->kind == RelationKind::kTable && snapshot().IsOwner(User(), t->oid)) tables.push_back(t);
    }
  }
  for (const auto& target : s.targets) {
    CO_ASSIGN_OR_RETURN(TablePtr t, Find(target.table, false));
    std::string_view verb = s.vacuum ? "vacuum" : "analyze";
    if (t->is_virtual && t->kind == RelationKind::kTable) continue;  // the catalogs have nothing to gather
    if (t->kind != RelationKind::kTable) {
      Notice("01000", StrCat("skipping \"", t->name, "\" --- cannot ", verb, " non-tables or special system tables"), "WARNING");
      continue;
    }
    if (!snapshot().IsOwner(User(), t->oid)) {
      Notice("01000", StrCat("skipping \"", t->name, "\" --- only table or database owner can ", verb, " it"), "WARNING");
      continue;
    }
    for (const std::string& c : target.columns) {
      if (t->FindColumn(c) < 0) co_return PgError(sqlstate::kUndefinedColumn, StrCat("column \"", c, "\" of relation \"", t->name, "\" does not exist"));
    }
    tables.push_back(t);
  }
  // Old versions go by themselves; what VACUUM leaves to do is the statistics, with or without ANALYZE.
  std::vector<v1::TableStatistics> gathered;
  for (const TablePtr& t : tables) {
    CO_ASSIGN_OR_RETURN(v1::TableStatistics statistics, co_await GatherStatistics(t));
    gathered.push_back(std::move(statistics));
  }
  CO_RETURN_IF_ERROR(co_await c_.catalog->LockForChange(ctx_));
  for (size_t i = 0; i < tables.size(); ++i) c_.catalog->PutStatistics(tables[i]->oid, gathered[i]);
  co_return result;
}

}  // namespace insula::sql

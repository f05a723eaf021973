// Statistics and activity. What is not counted here (scans, tuples by kind of write) is NULL, not 0.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/catalog/virtual_table.h"

namespace insula::sql {
namespace {

void TableRow(VirtualScan& scan, const TableInfo& t) {
  std::optional<int64_t> live, analyzed;
  auto it = scan.state().statistics().find(t.oid);
  if (it != scan.state().statistics().end()) {
    live = static_cast<int64_t>(it->second->row_count());
    analyzed = it->second->analyzed_at_us();
  }
  scan.Row(t.oid, t.schema, t.name, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, live, nullptr, nullptr, nullptr, nullptr,
           nullptr, analyzed, nullptr, nullptr, nullptr, nullptr, nullptr);
}

void IndexRows(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    for (const auto& i : t->indexes) {
      if (!i.name.empty()) scan.Row(t->oid, i.oid, t->schema, t->name, i.name, nullptr, nullptr, nullptr);
    }
  }
}

void TableRows(VirtualScan& scan, bool system, bool user) {
  for (const TablePtr& t : scan.snapshot().Relations(system)) {
    bool is_system = FindVirtualTable(t->oid) != nullptr;
    if (RelkindOf(*t) != 'r' || (is_system ? !system : !user)) continue;
    TableRow(scan, *t);
  }
}

}  // namespace

void FillPgStatAllTables(VirtualScan& scan) { TableRows(scan, true, true); }
void FillPgStatUserTables(VirtualScan& scan) { TableRows(scan, false, true); }
void FillPgStatSysTables(VirtualScan& scan) { TableRows(scan, true, false); }
void FillPgStatAllIndexes(VirtualScan& scan) { IndexRows(scan); }
void FillPgStatUserIndexes(VirtualScan& scan) { IndexRows(scan); }

void FillPgStats(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    if (!t->statistics.known) continue;
    for (size_t o = 0; o < t->columns.size() && o < t->statistics.columns.size(); ++o) {
      const ColumnStatistics& s = t->statistics.columns[o];
      if (t->columns[o].hidden) continue;
      // As PostgreSQL: a negative number is a fraction of the rows.
      double distinct = s.distinct;
      if (t->statistics.row_count > 0 && distinct > 0.1 * t->statistics.row_count) distinct = -distinct / t->statistics.row_count;
      scan.Row(t->schema, t->name, t->columns[o].name, false, s.null_fraction, static_cast<int64_t>(s.average_width), distinct, nullptr, nullptr,
               nullptr, nullptr, nullptr, nullptr, nullptr);
    }
  }
}

void FillPgSettings(VirtualScan& scan) {
  if (scan.functions().session == nullptr) return;
  auto some = [](const std::string& s) -> std::optional<std::string> {
    if (s.empty()) return std::nullopt;
    return s;
  };
  for (const SessionInfo::Setting& s : scan.functions().session->Settings()) {
    scan.Row(s.name, s.setting, some(s.unit), s.category, s.description, nullptr, s.context, s.vartype, s.source, some(s.min_value), some(s.max_value),
             s.enum_values.empty() ? Datum::Null() : TextArray(s.enum_values), s.boot_value, s.reset_value, nullptr, nullptr, false);
  }
}

// The session that asks: a pod does not show one session to another yet.
void FillPgStatActivity(VirtualScan& scan) {
  SessionInfo* s = scan.functions().session;
  if (s == nullptr) return;
  std::string user = s->SessionUser();
  std::string application = s->GetSetting("application_name").value_or("");
  scan.Row(scan.snapshot().database_oid(), scan.database(), s->BackendPid(), nullptr, scan.snapshot().FindRole(user), user, application, nullptr,
           nullptr, s->ClientPort(), s->BackendStartUs(), scan.functions().transaction_time_us, scan.functions().statement_time_us,
           scan.functions().statement_time_us, nullptr, nullptr, "active", nullptr, nullptr, nullptr, nullptr, "client backend");
}

}  // namespace insula::sql

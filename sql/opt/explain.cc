#include "sql/opt/explain.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "base/strings.h"
#include "sql/plan/deparse.h"

namespace insula::sql {
namespace {

// One line of the tree with what belongs to it.
struct Line {
  std::string type;       // "Index Scan"
  std::string title;      // "Index Scan using t_pkey on t"
  std::string label;      // "CTE x": stands above the line
  const PhysicalNode* node = nullptr;   // whose rows it yields
  const PhysicalNode* shown = nullptr;  // whose costs are shown (a projection above it)
  std::vector<std::pair<std::string, std::string>> details;
  std::vector<Line> children;
};

std::string Fixed(double v, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, v);
  return buffer;
}

std::string Show(const ExprPtr& e) { return ExprToString(e); }

std::string List(const std::vector<ExprPtr>& exprs) {
  std::vector<std::string> out;
  for (const auto& e : exprs) out.push_back(Show(e));
  return StrJoin(out, ", ");
}

// A number of rows, plain where it is known.
std::string Count(const ExprPtr& e) {
  const auto* c = e->TryAs<ConstantExpr>();
  return c != nullptr && !c->value.is_null() && c->value.Is(PhysicalKind::kInt) ? StrCat(c->value.int_value()) : Show(e);
}

std::string Keys(const std::vector<SortKey>& keys) {
  std::vector<std::string> out;
  for (const SortKey& k : keys) {
    std::string s = Show(k.expr);
    if (k.descending) s += " DESC";
    if (k.nulls_first != k.descending) s += k.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    out.push_back(std::move(s));
  }
  return StrJoin(out, ", ");
}

std::string On(const TableInfo& table, const std::string& alias) {
  return alias.empty() || alias == table.name ? table.name : StrCat(table.name, " ", alias);
}

std::string KeyName(const TableInfo& table, const IndexColumnInfo& k) { return k.ordinal >= 0 ? table.columns[k.ordinal].name : k.expression; }

// The ranges of keys as the conditions they came from.
std::string Bounds(const TableInfo& table, const IndexInfo& index, const std::vector<KeySpan>& spans) {
  std::vector<std::string> alternatives;
  for (const KeySpan& span : spans) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < span.prefix.size(); ++i) {
      const std::string name = KeyName(table, index.columns[i]);
      const KeyPrefix& p = span.prefix[i];
      switch (p.kind) {
        case KeyPrefix::kEqual: parts.push_back(StrCat("(", name, " = ", Show(p.values[0]), ")")); break;
        case KeyPrefix::kIsNull: parts.push_back(StrCat("(", name, " IS NULL)")); break;
        case KeyPrefix::kIn: parts.push_back(StrCat("(", name, " = ANY (ARRAY[", List(p.values), "]))")); break;
        case KeyPrefix::kInArray: parts.push_back(StrCat("(", name, " = ANY (", Show(p.values[0]), "))")); break;
      }
    }
    if (span.lower != nullptr || span.upper != nullptr) {
      const std::string name = KeyName(table, index.columns[span.prefix.size()]);
      if (span.lower != nullptr) parts.push_back(StrCat("(", name, span.lower_inclusive ? " >= " : " > ", Show(span.lower), ")"));
      if (span.upper != nullptr) parts.push_back(StrCat("(", name, span.upper_inclusive ? " <= " : " < ", Show(span.upper), ")"));
    }
    alternatives.push_back(parts.size() == 1 ? parts[0] : StrCat("(", StrJoin(parts, " AND "), ")"));
  }
  return StrJoin(alternatives, " OR ");
}

std::string_view JoinWord(JoinType t) {
  switch (t) {
    case JoinType::kInner: return "";
    case JoinType::kLeft: return "Left ";
    case JoinType::kRight: return "Right ";
    case JoinType::kFull: return "Full ";
    case JoinType::kSemi: return "Semi ";
    case JoinType::kAnti: return "Anti ";
    case JoinType::kMark: return "Mark ";
  }
  return "";
}

std::string LockText(const RowLock& lock) {
  static constexpr std::string_view kStrengths[] = {"", "for key share", "for share", "for no key update", "for update"};
  static constexpr std::string_view kWaits[] = {"", " skip locked", " nowait"};
  return StrCat(kStrengths[static_cast<int>(lock.strength)], kWaits[static_cast<int>(lock.wait)]);
}

class Builder {
 public:
  explicit Builder(bool verbose) : verbose_(verbose) {}

  Line Build(const PhysicalNode& top) {
    const PhysicalNode* node = &top;
    // PostgreSQL's nodes project by themselves; ours that only project are not shown.
    while (node->kind == PlanKind::kProject) node = node->children[0].get();
    Line line;
    line.node = node;
    line.shown = &top;
    Describe(*node, &line);
    if (verbose_) {
      const PhysicalNode& shown = top.kind == PlanKind::kProject ? top : *node;
      std::string output;
      if (shown.kind == PlanKind::kProject) {
        output = List(shown.As<PhysicalProject>().exprs);
      } else {
        std::vector<std::string> names;
        for (const auto& c : shown.output) names.push_back(c.name);
        output = StrJoin(names, ", ");
      }
      if (!output.empty()) line.details.insert(line.details.begin(), {"Output", output});
    }
    return line;
  }

 private:
  void Named(Line* line, std::string type, std::string_view rest = {}) {
    line->type = type;
    line->title = rest.empty() ? type : StrCat(type, " ", rest);
  }
  void Children(const PhysicalNode& node, Line* line) {
    for (const auto& c : node.children) line->children.push_back(Build(*c));
  }
  void Filter(const ExprPtr& filter, Line* line, std::string_view label = "Filter") {
    if (filter != nullptr) line->details.emplace_back(label, Show(filter));
  }

  void Scan(const PhysicalIndexScan& s, Line* line) {
    const IndexInfo& index = s.table->indexes[s.index];
    if (s.index == 0 && s.spans.empty() && !s.ordered) {
      Named(line, "Seq Scan", StrCat("on ", On(*s.table, s.alias)));
    } else {
      std::string type = s.index > 0 && !s.index_join ? "Index Only Scan" : "Index Scan";
      Named(line, type, StrCat(s.reverse ? "Backward using " : "using ", index.name, " on ", On(*s.table, s.alias)));
    }
    if (!s.spans.empty()) line->details.emplace_back("Index Cond", Bounds(*s.table, index, s.spans));
    Filter(s.filter, line);
    if (s.lock.locks()) line->details.emplace_back("Lock", LockText(s.lock));
  }

  void Join(const PhysicalJoin& j, std::string_view method, Line* line) {
    const std::string_view word = JoinWord(j.join);
    const bool loop = method == "Nested Loop";
    std::string type = loop ? (word.empty() ? "Nested Loop" : StrCat("Nested Loop ", word, "Join")) : StrCat(method, " ", word, "Join");
    Named(line, type);
  }

  void Describe(const PhysicalNode& node, Line* line) {
    switch (node.kind) {
      case PlanKind::kIndexScan: return Scan(node.As<PhysicalIndexScan>(), line);
      case PlanKind::kVirtualScan: {
        const auto& s = node.As<PhysicalVirtualScan>();
        Named(line, "Seq Scan", StrCat("on ", On(*s.table, s.alias)));
        return Filter(s.filter, line);
      }
      case PlanKind::kValues: {
        const auto& v = node.As<PhysicalValues>();
        if (v.rows.size() > 1) return Named(line, "Values Scan", "on \"*VALUES*\"");
        Named(line, "Result");
        if (v.rows.empty()) line->details.emplace_back("One-Time Filter", "false");
        return;
      }
      case PlanKind::kFunctionScan: {
        const auto& f = node.As<PhysicalFunctionScan>();
        const auto* call = f.functions[0].call->TryAs<FunctionExpr>();
        std::string name = call != nullptr ? std::string(call->function->name) : "value";
        Named(line, "Function Scan", StrCat("on ", name == f.alias ? name : StrCat(name, " ", f.alias)));
        if (verbose_) {
          std::vector<ExprPtr> calls;
          for (const auto& t : f.functions) calls.push_back(t.call);
          line->details.emplace_back("Function Call", List(calls));
        }
        return;
      }
      case PlanKind::kProjectSet: Named(line, "ProjectSet"); break;
      case PlanKind::kCteScan: {
        const auto& c = node.As<PhysicalCteScan>();
        const std::string& name = cte_names_[c.cte];
        Named(line, "CTE Scan", StrCat("on ", name == c.alias ? name : StrCat(name, " ", c.alias)));
        break;
      }
      case PlanKind::kWorkTableScan: Named(line, "WorkTable Scan", StrCat("on ", node.As<PhysicalWorkTableScan>().alias)); break;
      case PlanKind::kExternalSource: Named(line, "Copy Source"); break;
      case PlanKind::kFilter: {
        // A filter is shown at the node below it, as PostgreSQL does.
        Line below = Build(*node.children[0]);
        const PhysicalNode* shown = line->shown;
        below.details.emplace_back("Filter", Show(node.As<PhysicalFilter>().condition));
        *line = std::move(below);
        line->shown = shown;
        line->node = &node;
        return;
      }
      case PlanKind::kProject: break;  // never comes here
      case PlanKind::kHashJoin: {
        const auto& j = node.As<PhysicalHashJoin>();
        Join(j, "Hash", line);
        std::vector<std::string> keys;
        for (size_t i = 0; i < j.left_keys.size(); ++i) keys.push_back(StrCat("(", Show(j.left_keys[i]), " = ", Show(j.right_keys[i]), ")"));
        line->details.emplace_back("Hash Cond", keys.size() == 1 ? keys[0] : StrCat("(", StrJoin(keys, " AND "), ")"));
        Filter(j.condition, line, "Join Filter");
        line->children.push_back(Build(*node.children[0]));
        Line hash;
        hash.type = hash.title = "Hash";
        hash.node = hash.shown = node.children[1].get();
        hash.children.push_back(Build(*node.children[1]));
        line->children.push_back(std::move(hash));
        return;
      }
      case PlanKind::kNestedLoop: {
        const auto& j = node.As<PhysicalNestedLoop>();
        Join(j, "Nested Loop", line);
        Filter(j.condition, line, "Join Filter");
        Filter(j.guard, line, "Guard");
        break;
      }
      case PlanKind::kLookupJoin: {
        const auto& j = node.As<PhysicalLookupJoin>();
        const IndexInfo& index = j.table->indexes[j.index];
        const std::string type = StrCat("Lookup ", JoinWord(j.join), "Join");
        Named(line, type, StrCat("using ", index.name, " on ", On(*j.table, j.alias)));
        std::vector<std::string> keys;
        for (size_t i = 0; i < j.keys.size(); ++i) keys.push_back(StrCat("(", KeyName(*j.table, index.columns[i]), " = ", Show(j.keys[i]), ")"));
        line->details.emplace_back("Index Cond", keys.size() == 1 ? keys[0] : StrCat("(", StrJoin(keys, " AND "), ")"));
        Filter(j.right_filter, line);
        Filter(j.condition, line, "Join Filter");
        if (j.lock.locks()) line->details.emplace_back("Lock", LockText(j.lock));
        break;
      }
      case PlanKind::kSingleRow: Named(line, "Single Row"); break;
      case PlanKind::kHashAggregate:
      case PlanKind::kStreamAggregate: {
        const auto& a = static_cast<const PhysicalAggregate&>(node);
        const bool plain = a.keys.empty() && a.grouping_sets.empty();
        Named(line, plain ? "Aggregate" : node.kind == PlanKind::kHashAggregate ? "HashAggregate" : "GroupAggregate");
        if (a.grouping_sets.empty() && !a.keys.empty()) line->details.emplace_back("Group Key", List(a.keys));
        for (const auto& set : a.grouping_sets) {
          std::vector<ExprPtr> keys;
          for (int k : set) keys.push_back(a.keys[k]);
          line->details.emplace_back("Group Key", keys.empty() ? "()" : List(keys));
        }
        break;
      }
      case PlanKind::kSort:
        Named(line, "Sort");
        line->details.emplace_back("Sort Key", Keys(node.As<PhysicalSort>().keys));
        break;
      case PlanKind::kTopN:
        Named(line, "Top-N Sort");
        line->details.emplace_back("Sort Key", Keys(node.As<PhysicalTopN>().keys));
        line->details.emplace_back("Limit", Count(node.As<PhysicalTopN>().limit));
        break;
      case PlanKind::kLimit: Named(line, "Limit"); break;
      case PlanKind::kDistinct: Named(line, node.As<PhysicalDistinct>().sorted ? "Unique" : "HashDistinct"); break;
      case PlanKind::kDistinctOn:
        Named(line, "Unique");
        line->details.emplace_back("Key", List(node.As<PhysicalDistinctOn>().keys));
        break;
      case PlanKind::kAppend: Named(line, "Append"); break;
      case PlanKind::kSetOperation: {
        const auto& s = node.As<PhysicalSetOperation>();
        Named(line, StrCat("HashSetOp ", s.except ? "Except" : "Intersect", s.all ? " All" : ""));
        break;
      }
      case PlanKind::kWindow: Named(line, "WindowAgg"); break;
      case PlanKind::kCte: {
        // WITH queries hang under the node that reads them, under their own names.
        const auto& c = node.As<PhysicalCte>();
        const PhysicalNode* shown = line->shown;
        cte_names_[c.cte] = c.name;
        Line body = Build(*node.children[1]);
        Line definition = Build(*node.children[0]);
        definition.label = StrCat("CTE ", c.name);
        body.children.insert(body.children.begin(), std::move(definition));
        *line = std::move(body);
        line->shown = shown;
        return;
      }
      case PlanKind::kRecursiveUnion: Named(line, "Recursive Union"); break;
      case PlanKind::kLockRows: Named(line, "LockRows"); break;
      case PlanKind::kInsert: {
        const auto& s = node.As<PhysicalInsert>().spec;
        Named(line, "Insert", StrCat("on ", s.table->name));
        if (s.conflict.action != ConflictAction::kNone) {
          line->details.emplace_back("Conflict Resolution", s.conflict.action == ConflictAction::kNothing ? "NOTHING" : "UPDATE");
          std::vector<std::string> names;
          for (int i : s.conflict.arbiters) names.push_back(s.table->indexes[i].name);
          if (!names.empty()) line->details.emplace_back("Conflict Arbiter Indexes", StrJoin(names, ", "));
        }
        break;
      }
      case PlanKind::kUpdate: Named(line, "Update", StrCat("on ", node.As<PhysicalUpdate>().spec.table->name)); break;
      case PlanKind::kDelete: Named(line, "Delete", StrCat("on ", node.As<PhysicalDelete>().spec.table->name)); break;
    }
    Children(node, line);
  }

  bool verbose_;
  std::map<int, std::string> cte_names_;
};

class TextRenderer {
 public:
  TextRenderer(const ExplainOptions& options, std::vector<std::string>* out) : options_(options), out_(*out) {}

  void Render(const Line& line, int indent, bool first) {
    if (!line.label.empty()) {
      out_.push_back(StrCat(std::string(indent, ' '), line.label));
      indent += 2;
    }
    std::string text(indent, ' ');
    if (!first) text += "->  ";
    text += line.title;
    if (options_.costs) {
      const PhysicalNode& n = *line.shown;
      StrAppend(&text, "  (cost=", Fixed(n.startup_cost, 2), "..", Fixed(n.total_cost, 2), " rows=", Fixed(n.row_estimate, 0), " width=", n.width, ")");
    }
    std::optional<ExplainActual> actual;
    if (options_.actual) {
      actual = options_.actual(line.node);
      StrAppend(&text, " ", Actual(actual));
    }
    out_.push_back(std::move(text));
    const int inner = first ? indent + 2 : indent + 6;
    for (const auto& [name, value] : line.details) out_.push_back(StrCat(std::string(inner, ' '), name, ": ", value));
    if (actual && actual->loops > 0) {
      if (actual->rows_removed > 0) out_.push_back(StrCat(std::string(inner, ' '), "Rows Removed by Filter: ", actual->rows_removed / actual->loops));
      if (actual->kv_batches > 0) {
        out_.push_back(StrCat(std::string(inner, ' '), "KV Batches: ", actual->kv_batches, "  Bytes Read: ", actual->bytes_read));
      }
    }
    for (const Line& c : line.children) Render(c, inner, false);
  }

 private:
  std::string Actual(const std::optional<ExplainActual>& a) {
    if (!a || a->loops == 0) return "(never executed)";
    const double loops = static_cast<double>(a->loops);
    const std::string rows = Fixed(static_cast<double>(a->rows) / loops, 0);
    if (!options_.timing) return StrCat("(actual rows=", rows, " loops=", a->loops, ")");
    return StrCat("(actual time=", Fixed(a->first_ms / loops, 3), "..", Fixed(a->total_ms / loops, 3), " rows=", rows, " loops=", a->loops, ")");
  }

  const ExplainOptions& options_;
  std::vector<std::string>& out_;
};

std::string Quoted(std::string_view s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof(buffer), "\\u%04x", c);
      out += buffer;
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

void RenderJson(const Line& line, const ExplainOptions& options, int indent, std::string* out) {
  const std::string pad(indent, ' ');
  std::vector<std::string> fields;
  auto text = [&](std::string_view name, std::string_view value) { fields.push_back(StrCat(Quoted(name), ": ", Quoted(value))); };
  auto number = [&](std::string_view name, std::string value) { fields.push_back(StrCat(Quoted(name), ": ", value)); };
  text("Node Type", line.type);
  if (!line.label.empty()) text("Subplan Name", line.label);
  if (line.title != line.type) text("Description", line.title);
  if (options.costs) {
    number("Startup Cost", Fixed(line.shown->startup_cost, 2));
    number("Total Cost", Fixed(line.shown->total_cost, 2));
    number("Plan Rows", Fixed(line.shown->row_estimate, 0));
    number("Plan Width", StrCat(line.shown->width));
  }
  if (options.actual) {
    auto a = options.actual(line.node);
    const double loops = a && a->loops > 0 ? static_cast<double>(a->loops) : 1;
    if (options.timing) {
      number("Actual Startup Time", Fixed(a ? a->first_ms / loops : 0, 3));
      number("Actual Total Time", Fixed(a ? a->total_ms / loops : 0, 3));
    }
    number("Actual Rows", Fixed(a ? static_cast<double>(a->rows) / loops : 0, 0));
    number("Actual Loops", StrCat(a ? a->loops : 0));
    if (a && a->kv_batches > 0) {
      number("KV Batches", StrCat(a->kv_batches));
      number("Bytes Read", StrCat(a->bytes_read));
    }
  }
  for (const auto& [name, value] : line.details) text(name, value);
  if (!line.children.empty()) {
    std::string children;
    for (size_t i = 0; i < line.children.size(); ++i) {
      StrAppend(&children, i > 0 ? ",\n" : "", pad, "    {\n");
      RenderJson(line.children[i], options, indent + 6, &children);
      StrAppend(&children, pad, "    }");
    }
    fields.push_back(StrCat("\"Plans\": [\n", children, "\n", pad, "  ]"));
  }
  for (size_t i = 0; i < fields.size(); ++i) StrAppend(out, pad, fields[i], i + 1 < fields.size() ? ",\n" : "\n");
}

}  // namespace

std::string ExprToString(const ExprPtr& expr) { return Deparse(expr, DeparseOptions()); }

std::vector<std::string> Explain(const PhysicalPlan& plan, const ExplainOptions& options) {
  Line root = Builder(options.verbose).Build(*plan.root);
  if (options.json) {
    std::string out = "[\n  {\n    \"Plan\": {\n";
    RenderJson(root, options, 6, &out);
    out += "    }";
    for (const auto& [name, value] : options.summary) StrAppend(&out, ",\n    ", Quoted(name), ": ", Quoted(value));
    out += "\n  }\n]";
    return {std::move(out)};
  }
  std::vector<std::string> lines;
  TextRenderer(options, &lines).Render(root, 0, true);
  for (const auto& [name, value] : options.summary) lines.push_back(StrCat(name, ": ", value));
  return lines;
}

}  // namespace insula::sql

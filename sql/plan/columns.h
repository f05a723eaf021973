// The columns of one statement: what each ColumnId is called and what type it has.
#ifndef INSULA_SQL_PLAN_COLUMNS_H_
#define INSULA_SQL_PLAN_COLUMNS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sql/plan/expression.h"

namespace insula::sql {

struct ColumnMeta {
  std::string name;
  SqlType type;
  std::string relation;  // alias of the table it comes from, for EXPLAIN; may be empty
  Oid table = 0;         // the stored column it is, if it is one
  int ordinal = -1;      // its ordinal there
  bool nullable = true;
};

class Columns {
 public:
  ColumnId Add(ColumnMeta meta) {
    metas_.push_back(std::move(meta));
    return static_cast<ColumnId>(metas_.size());
  }
  ColumnId Add(std::string_view name, const SqlType& type) { return Add(ColumnMeta{std::string(name), type, {}, 0, -1, true}); }
  const ColumnMeta& operator[](ColumnId id) const {
    CHECK(id >= 1 && static_cast<size_t>(id) <= metas_.size()) << "column " << id;
    return metas_[id - 1];
  }
  ColumnMeta& Mutable(ColumnId id) { return const_cast<ColumnMeta&>((*this)[id]); }
  size_t size() const { return metas_.size(); }
  // The column as an expression.
  ExprPtr Ref(ColumnId id) const {
    const ColumnMeta& m = (*this)[id];
    return MakeColumn(id, m.type, m.relation.empty() ? m.name : m.relation + "." + m.name);
  }

 private:
  std::vector<ColumnMeta> metas_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_COLUMNS_H_

// Stored descriptors → the TableInfos that the binder, the optimizer and the executor work with.
#ifndef INSULA_SQL_CATALOG_TABLE_INFO_H_
#define INSULA_SQL_CATALOG_TABLE_INFO_H_

#include <functional>
#include <memory>
#include <string>

#include "proto/sql/descriptor.pb.h"
#include "sql/binder/catalog_view.h"

namespace insula::sql {

// The ordinal of a column by its id; -1 if there is none.
int OrdinalOfColumn(const v1::Table& table, uint32_t column_id);

// `descriptor` holds a table, view or sequence. `find` gives other descriptors (foreign keys); `referenced_by` has no entries.
std::shared_ptr<TableInfo> MakeTableInfo(const v1::Descriptor& descriptor, std::string_view schema,
                                         const v1::TableStatistics* statistics,
                                         const std::function<const v1::Descriptor*(Oid)>& find);

// An index as a relation of its own: a name that cannot be read from.
std::shared_ptr<TableInfo> MakeIndexTableInfo(const v1::Descriptor& table, const v1::Index& index, std::string_view schema);

// The schema of a relation's descriptor.
Oid SchemaOf(const v1::Descriptor& descriptor);
bool IsRelation(const v1::Descriptor& descriptor);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_TABLE_INFO_H_

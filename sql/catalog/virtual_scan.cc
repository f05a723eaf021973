#include "sql/catalog/virtual_scan.h"

#include "proto/sql/descriptor.pb.h"

namespace insula::sql {

void Cell::AppendTo(Vector* out) const {
  switch (kind_) {
    case kNull: out->AppendNull(); return;
    case kBool: out->AppendBool(int_ != 0); return;
    case kInt:
      if (out->kind() == PhysicalKind::kFloat) {
        out->AppendFloat(static_cast<double>(int_));
      } else {
        out->AppendInt(int_);
      }
      return;
    case kFloat: out->AppendFloat(float_); return;
    case kText:
      if (is_char_) {
        out->AppendBytes(std::string_view(&char_, char_ == 0 ? 0 : 1));
      } else {
        out->AppendBytes(text_);
      }
      return;
    case kDatum: out->Append(*datum_); return;
  }
}

VirtualScan::VirtualScan(SnapshotPtr snapshot, FunctionContext* functions, const TableInfo& table, std::vector<int> columns, Batch* out)
    : snapshot_(std::move(snapshot)),
      functions_(functions),
      table_(table),
      names_(snapshot_, functions->session),
      database_(snapshot_->database_name()),
      slot_of_(table.columns.size(), -1),
      out_(out) {
  std::vector<SqlType> types;
  for (size_t slot = 0; slot < columns.size(); ++slot) {
    CHECK(slot_of_[columns[slot]] < 0) << "a virtual column is wanted twice";
    slot_of_[columns[slot]] = static_cast<int>(slot);
    types.push_back(table.columns[columns[slot]].type);
  }
  out_->Reset(types);
  out_->rows = 0;
}

namespace {

Datum StringArray(Oid element, const std::vector<std::string>& values) {
  std::vector<Datum> elements;
  for (const auto& v : values) elements.push_back(Datum::Bytes(v));
  return ArrayValue::Of(element, std::move(elements)).ToDatum();
}
Datum NumberArray(Oid element, const std::vector<int64_t>& values) {
  std::vector<Datum> elements;
  for (int64_t v : values) elements.push_back(Datum::Int(v));
  return ArrayValue::Of(element, std::move(elements)).ToDatum();
}

}  // namespace

Datum TextArray(const std::vector<std::string>& values) { return StringArray(oid::kText, values); }
Datum NameArray(const std::vector<std::string>& values) { return StringArray(oid::kName, values); }
Datum Int2Array(const std::vector<int64_t>& values) { return NumberArray(oid::kInt2, values); }
Datum OidArray(const std::vector<int64_t>& values) { return NumberArray(oid::kOid, values); }
Datum CharArray(std::string_view values) {
  std::vector<std::string> each;
  for (char c : values) each.emplace_back(1, c);
  return StringArray(oid::kChar, each);
}
Datum Int2VectorOf(const std::vector<int64_t>& values) { return Datum::Bytes(EncodeVectorOf(oid::kInt2, values)); }
Datum OidVectorOf(const std::vector<int64_t>& values) { return Datum::Bytes(EncodeVectorOf(oid::kOid, values)); }

Datum AclArray(const Acl& acl, const CatalogState& state) {
  std::vector<std::string> items;
  for (const AclItem& item : acl) items.push_back(AclItemText(item, state));
  return StringArray(oid::kAclitem, items);
}

Datum AclOf(const v1::Descriptor* descriptor, const CatalogState& state) {
  if (descriptor == nullptr) return Datum::Null();
  auto acl = StoredAcl(*descriptor);
  return acl ? AclArray(*acl, state) : Datum::Null();
}

}  // namespace insula::sql

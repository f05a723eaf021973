#include "sql/types/vector.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace insula::sql {

void Vector::Reset(SqlType type) { Reset(type, KindOf(type.oid)); }

void Vector::Reset(SqlType type, PhysicalKind kind) {
  Clear();
  type_ = type;
  kind_ = kind;
}

void Vector::Clear() {
  size_ = 0;
  may_have_nulls_ = false;
  nulls_.clear();
  bools_.clear();
  ints_.clear();
  floats_.clear();
  numerics_.clear();
  refs_.clear();
  heap_.clear();
}

void Vector::Reserve(size_t rows) {
  nulls_.reserve((rows + 63) / 64);
  switch (kind_) {
    case PhysicalKind::kBool: bools_.reserve(rows); break;
    case PhysicalKind::kInt: ints_.reserve(rows); break;
    case PhysicalKind::kFloat: floats_.reserve(rows); break;
    case PhysicalKind::kBytes: refs_.reserve(rows); break;
    case PhysicalKind::kNumeric: numerics_.reserve(rows); break;
  }
}

void Vector::Resize(size_t rows) {
  if (rows < size_) return Truncate(rows);
  size_ = rows;
  GrowNulls();
  switch (kind_) {
    case PhysicalKind::kBool: bools_.resize(rows); break;
    case PhysicalKind::kInt: ints_.resize(rows); break;
    case PhysicalKind::kFloat: floats_.resize(rows); break;
    case PhysicalKind::kBytes: refs_.resize(rows); break;
    case PhysicalKind::kNumeric: numerics_.resize(rows); break;
  }
}

void Vector::Truncate(size_t rows) {
  if (rows >= size_) return;
  size_ = rows;
  nulls_.resize((rows + 63) / 64);
  if (rows % 64 != 0) nulls_.back() &= (uint64_t{1} << (rows % 64)) - 1;
  switch (kind_) {
    case PhysicalKind::kBool: bools_.resize(rows); break;
    case PhysicalKind::kInt: ints_.resize(rows); break;
    case PhysicalKind::kFloat: floats_.resize(rows); break;
    case PhysicalKind::kBytes: refs_.resize(rows); break;
    case PhysicalKind::kNumeric: numerics_.resize(rows); break;
  }
}

void Vector::SetAllNull() {
  if (size_ == 0) return;
  may_have_nulls_ = true;
  std::fill(nulls_.begin(), nulls_.end(), ~uint64_t{0});
  if (size_ % 64 != 0) nulls_.back() = (uint64_t{1} << (size_ % 64)) - 1;
}

void Vector::OrNulls(const Vector& other) {
  if (!other.may_have_nulls_ || size_ == 0) return;
  CHECK_GE(other.size_, size_);
  may_have_nulls_ = true;
  for (size_t w = 0; w < nulls_.size(); ++w) nulls_[w] |= other.nulls_[w];
  if (size_ % 64 != 0) nulls_.back() &= (uint64_t{1} << (size_ % 64)) - 1;
}

size_t Vector::CountNulls() const {
  if (!may_have_nulls_) return 0;
  size_t n = 0;
  for (uint64_t w : nulls_) n += static_cast<size_t>(__builtin_popcountll(w));
  return n;
}

// ---- appending

void Vector::AppendNull() {
  Resize(size_ + 1);
  SetNull(size_ - 1);
}

void Vector::AppendBool(bool v) {
  bools_.push_back(v);
  ++size_;
  GrowNulls();
}

void Vector::AppendInt(int64_t v) {
  ints_.push_back(v);
  ++size_;
  GrowNulls();
}

void Vector::AppendFloat(double v) {
  floats_.push_back(v);
  ++size_;
  GrowNulls();
}

void Vector::AppendBytes(std::string_view v) {
  refs_.push_back({heap_.size(), v.size()});
  heap_.append(v);
  ++size_;
  GrowNulls();
}

void Vector::AppendNumeric(Numeric v) {
  numerics_.push_back(std::move(v));
  ++size_;
  GrowNulls();
}

void Vector::Append(const Datum& v) {
  if (v.is_null()) return AppendNull();
  switch (kind_) {
    case PhysicalKind::kBool: return AppendBool(v.bool_value());
    case PhysicalKind::kInt: return AppendInt(v.int_value());
    case PhysicalKind::kFloat: return AppendFloat(v.float_value());
    case PhysicalKind::kBytes: return AppendBytes(v.bytes_value());
    case PhysicalKind::kNumeric: return AppendNumeric(v.numeric_value());
  }
}

void Vector::AppendFrom(const Vector& src, size_t i) {
  if (src.IsNull(i)) return AppendNull();
  switch (kind_) {
    case PhysicalKind::kBool: return AppendBool(src.bools_[i] != 0);
    case PhysicalKind::kInt: return AppendInt(src.ints_[i]);
    case PhysicalKind::kFloat: return AppendFloat(src.floats_[i]);
    case PhysicalKind::kBytes: return AppendBytes(src.bytes(i));
    case PhysicalKind::kNumeric: return AppendNumeric(src.numerics_[i]);
  }
}

void Vector::AppendRange(const Vector& src, size_t begin, size_t rows) {
  if (rows == 0) return;
  CHECK_LE(begin + rows, src.size_);
  CHECK(kind_ == src.kind_);
  size_t base = size_;
  Resize(size_ + rows);
  if (src.may_have_nulls_) {
    for (size_t i = 0; i < rows; ++i) {
      if (src.IsNull(begin + i)) SetNull(base + i);
    }
  }
  auto copy = [&](auto& to, const auto& from) { std::copy_n(from.begin() + begin, rows, to.begin() + base); };
  switch (kind_) {
    case PhysicalKind::kBool: copy(bools_, src.bools_); break;
    case PhysicalKind::kInt: copy(ints_, src.ints_); break;
    case PhysicalKind::kFloat: copy(floats_, src.floats_); break;
    case PhysicalKind::kNumeric: copy(numerics_, src.numerics_); break;
    case PhysicalKind::kBytes:
      for (size_t i = 0; i < rows; ++i) SetBytes(base + i, src.bytes(begin + i));
      break;
  }
}

void Vector::AppendSelected(const Vector& src, std::span<const uint32_t> sel) {
  if (sel.empty()) return;
  CHECK(kind_ == src.kind_);
  size_t base = size_;
  Resize(size_ + sel.size());
  if (src.may_have_nulls_) {
    for (size_t i = 0; i < sel.size(); ++i) {
      if (src.IsNull(sel[i])) SetNull(base + i);
    }
  }
  auto gather = [&](auto* to, const auto* from) {
    for (size_t i = 0; i < sel.size(); ++i) to[i] = from[sel[i]];
  };
  switch (kind_) {
    case PhysicalKind::kBool: gather(bools_.data() + base, src.bools_.data()); break;
    case PhysicalKind::kInt: gather(ints_.data() + base, src.ints_.data()); break;
    case PhysicalKind::kFloat: gather(floats_.data() + base, src.floats_.data()); break;
    case PhysicalKind::kNumeric: gather(numerics_.data() + base, src.numerics_.data()); break;
    case PhysicalKind::kBytes:
      for (size_t i = 0; i < sel.size(); ++i) SetBytes(base + i, src.bytes(sel[i]));
      break;
  }
}

void Vector::AppendConstant(const Datum& v, size_t rows) {
  if (rows == 0) return;
  size_t base = size_;
  Resize(size_ + rows);
  if (v.is_null()) {
    for (size_t i = base; i < size_; ++i) SetNull(i);
    return;
  }
  switch (kind_) {
    case PhysicalKind::kBool: std::fill(bools_.begin() + base, bools_.end(), v.bool_value()); break;
    case PhysicalKind::kInt: std::fill(ints_.begin() + base, ints_.end(), v.int_value()); break;
    case PhysicalKind::kFloat: std::fill(floats_.begin() + base, floats_.end(), v.float_value()); break;
    case PhysicalKind::kNumeric: std::fill(numerics_.begin() + base, numerics_.end(), v.numeric_value()); break;
    case PhysicalKind::kBytes:
      SetBytes(base, v.bytes_value());
      std::fill(refs_.begin() + base + 1, refs_.end(), refs_[base]);
      break;
  }
}

// ---- single values

Datum Vector::Get(size_t i) const {
  if (IsNull(i)) return Datum();
  switch (kind_) {
    case PhysicalKind::kBool: return Datum::Bool(bools_[i] != 0);
    case PhysicalKind::kInt: return Datum::Int(ints_[i]);
    case PhysicalKind::kFloat: return Datum::Float(floats_[i]);
    case PhysicalKind::kBytes: return Datum::Bytes(bytes(i));
    case PhysicalKind::kNumeric: return Datum::Num(numerics_[i]);
  }
  return Datum();
}

void Vector::Set(size_t i, const Datum& v) {
  if (v.is_null()) return SetNull(i);
  SetNotNull(i);
  switch (kind_) {
    case PhysicalKind::kBool: bools_[i] = v.bool_value(); break;
    case PhysicalKind::kInt: ints_[i] = v.int_value(); break;
    case PhysicalKind::kFloat: floats_[i] = v.float_value(); break;
    case PhysicalKind::kBytes: SetBytes(i, v.bytes_value()); break;
    case PhysicalKind::kNumeric: numerics_[i] = v.numeric_value(); break;
  }
}

void Vector::Gather(const Vector& src, std::span<const uint32_t> sel) {
  Reset(src.type_, src.kind_);
  AppendSelected(src, sel);
}

void Vector::Slice(const Vector& src, size_t begin, size_t rows) {
  Reset(src.type_, src.kind_);
  AppendRange(src, begin, rows);
}

// ---- comparing and hashing

int Vector::Compare(const Vector& a, size_t i, const Vector& b, size_t j) {
  switch (a.kind_) {
    case PhysicalKind::kBool: return static_cast<int>(a.bools_[i] != 0) - static_cast<int>(b.bools_[j] != 0);
    case PhysicalKind::kInt: return a.ints_[i] < b.ints_[j] ? -1 : a.ints_[i] > b.ints_[j];
    case PhysicalKind::kFloat: return CompareFloats(a.floats_[i], b.floats_[j]);
    case PhysicalKind::kNumeric: return Numeric::Compare(a.numerics_[i], b.numerics_[j]);
    case PhysicalKind::kBytes: return CompareBytes(a.type_.oid, a.bytes(i), b.bytes(j));
  }
  return 0;
}

bool Vector::Equal(const Vector& a, size_t i, const Vector& b, size_t j) {
  if (a.kind_ == PhysicalKind::kInt) return a.ints_[i] == b.ints_[j];
  if (a.kind_ == PhysicalKind::kBytes) return BytesEqual(a.type_.oid, a.bytes(i), b.bytes(j));
  return Compare(a, i, b, j) == 0;
}

bool Vector::NotDistinct(const Vector& a, size_t i, const Vector& b, size_t j) {
  bool an = a.IsNull(i), bn = b.IsNull(j);
  if (an || bn) return an && bn;
  return Equal(a, i, b, j);
}

namespace {

uint64_t HashInteger(uint64_t v) {
  v ^= v >> 33;
  v *= 0xff51afd7ed558ccdull;
  v ^= v >> 33;
  v *= 0xc4ceb9fe1a85ec53ull;
  return v ^ (v >> 33);
}

}  // namespace

void Vector::HashInto(uint64_t* hashes) const {
  auto mix = [&](size_t i, uint64_t h) { hashes[i] = (hashes[i] ^ h) * 0x9e3779b97f4a7c15ull + (hashes[i] >> 32); };
  constexpr uint64_t kNullHash = 0x9ae16a3b2f90404full;
  if (kind_ == PhysicalKind::kInt && !may_have_nulls_) {
    for (size_t i = 0; i < size_; ++i) mix(i, HashInteger(static_cast<uint64_t>(ints_[i])));
    return;
  }
  for (size_t i = 0; i < size_; ++i) {
    if (IsNull(i)) {
      mix(i, kNullHash);
      continue;
    }
    switch (kind_) {
      case PhysicalKind::kInt: mix(i, HashInteger(static_cast<uint64_t>(ints_[i]))); break;
      case PhysicalKind::kBool: mix(i, HashInteger(bools_[i] != 0 ? 1 : 2)); break;
      case PhysicalKind::kFloat: mix(i, HashDatum(type_.oid, Datum::Float(floats_[i]))); break;
      case PhysicalKind::kNumeric: mix(i, numerics_[i].Hash()); break;
      case PhysicalKind::kBytes: mix(i, HashBytes(type_.oid, bytes(i))); break;
    }
  }
}

size_t Vector::MemoryUsage() const {
  size_t n = nulls_.capacity() * 8 + bools_.capacity() + ints_.capacity() * 8 + floats_.capacity() * 8 +
             numerics_.capacity() * sizeof(Numeric) + refs_.capacity() * sizeof(Ref) + heap_.capacity();
  for (const Numeric& v : numerics_) n += v.MemoryUsage();
  return n;
}

void Vector::VerifyInvariants() const {
  CHECK_EQ(nulls_.size(), (size_ + 63) / 64);
  if (size_ % 64 != 0) CHECK_EQ(nulls_.back() >> (size_ % 64), uint64_t{0});
  if (!may_have_nulls_) CHECK(std::all_of(nulls_.begin(), nulls_.end(), [](uint64_t w) { return w == 0; }));
  size_t values = 0;
  switch (kind_) {
    case PhysicalKind::kBool: values = bools_.size(); break;
    case PhysicalKind::kInt: values = ints_.size(); break;
    case PhysicalKind::kFloat: values = floats_.size(); break;
    case PhysicalKind::kBytes: values = refs_.size(); break;
    case PhysicalKind::kNumeric: values = numerics_.size(); break;
  }
  CHECK_EQ(values, size_);
  for (const Ref& r : refs_) CHECK_LE(r.offset + r.size, heap_.size());
}

// ---- Batch

void Batch::Reset(std::span<const SqlType> types) {
  columns.resize(types.size());
  for (size_t i = 0; i < types.size(); ++i) columns[i].Reset(types[i]);
  rows = 0;
}

void Batch::Clear() {
  for (Vector& c : columns) c.Clear();
  rows = 0;
}

void Batch::AppendRow(std::span<const Datum> row) {
  CHECK_EQ(row.size(), columns.size());
  for (size_t i = 0; i < row.size(); ++i) columns[i].Append(row[i]);
  ++rows;
}

void Batch::AppendFrom(const Batch& src, size_t i) {
  CHECK_EQ(src.columns.size(), columns.size());
  for (size_t c = 0; c < columns.size(); ++c) columns[c].AppendFrom(src.columns[c], i);
  ++rows;
}

void Batch::AppendSelected(const Batch& src, std::span<const uint32_t> sel) {
  CHECK_EQ(src.columns.size(), columns.size());
  for (size_t c = 0; c < columns.size(); ++c) columns[c].AppendSelected(src.columns[c], sel);
  rows += sel.size();
}

void Batch::Gather(const Batch& src, std::span<const uint32_t> sel) {
  columns.resize(src.columns.size());
  for (size_t c = 0; c < columns.size(); ++c) columns[c].Gather(src.columns[c], sel);
  rows = sel.size();
}

void Batch::Slice(const Batch& src, size_t begin, size_t n) {
  columns.resize(src.columns.size());
  for (size_t c = 0; c < columns.size(); ++c) columns[c].Slice(src.columns[c], begin, n);
  rows = n;
}

std::vector<Datum> Batch::Row(size_t i) const {
  std::vector<Datum> row;
  row.reserve(columns.size());
  for (const Vector& c : columns) row.push_back(c.Get(i));
  return row;
}

size_t Batch::MemoryUsage() const {
  size_t n = 0;
  for (const Vector& c : columns) n += c.MemoryUsage();
  return n;
}

}  // namespace insula::sql

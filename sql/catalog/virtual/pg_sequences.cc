// Sequences: pg_sequence, pg_sequences.
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"

namespace insula::sql {

void FillPgSequence(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    if (!t->sequence) continue;
    const v1::Sequence& s = scan.snapshot().FindDescriptor(t->oid)->sequence();
    scan.Row(t->oid, s.type_oid(), s.declared_start(), s.increment(), s.maximum(), s.minimum(), s.cache(), s.cycle());
  }
}

void FillPgSequences(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    if (!t->sequence) continue;
    const v1::Sequence& s = scan.snapshot().FindDescriptor(t->oid)->sequence();
    scan.Row(t->schema, t->name, scan.names().UserName(t->owner), s.type_oid(), s.declared_start(), s.minimum(), s.maximum(), s.increment(),
             s.cycle(), s.cache(), scan.sequence_values[t->oid]);
  }
}

}  // namespace insula::sql

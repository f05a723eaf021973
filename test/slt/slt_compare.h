// Whether a result is what a record expects.
#ifndef INSULA_TEST_SLT_SLT_COMPARE_H_
#define INSULA_TEST_SLT_SLT_COMPARE_H_

#include <string>
#include <vector>

#include "base/pgwire/client.h"
#include "test/slt/slt_file.h"

namespace insula::slt {

// Empty if it is; else what differs, in one line.
std::string CompareResult(const Record& record, Dialect dialect, const pgwire::QueryResult& result);

// One value as the sqlite dialect prints it under a type letter (I, R, T). type: its OID.
std::string RenderValue(char letter, uint32_t type, const std::optional<std::string>& value);

}  // namespace insula::slt

#endif  // INSULA_TEST_SLT_SLT_COMPARE_H_

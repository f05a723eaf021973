// How deep the tree of a text can become, told from the text alone.
//
// Parsing, converting and binding recurse once per level, on the thread's stack. PostgreSQL measures its stack; we bound the
// depth before anything recurses: brackets nest, and operators of one level chain (a+b+c is ((a+b)+c)). AND, OR and commas
// start a new chain, because the grammar makes flat lists of those.
#ifndef INSULA_SQL_PARSER_DEPTH_H_
#define INSULA_SQL_PARSER_DEPTH_H_

#include <string_view>

namespace insula::sql {

// What a default stack of 8 MB carries with room to spare.
inline constexpr int kMaxTreeDepth = 2000;

// An upper bound, give or take a small constant.
int EstimateTreeDepth(std::string_view sql);

}  // namespace insula::sql

#endif  // INSULA_SQL_PARSER_DEPTH_H_

// Runs SQL statements from standard input over a database in memory, one per line or block that ends with ";;" on its own
// line, and prints their results: for looking at the SQL layer by itself.
#include <iostream>
#include <string>

#include "sql/schema/testing/sql_tester.h"

int main() {
  insula::sql::SqlTester sql;
  std::string statement, line;
  while (std::getline(std::cin, line)) {
    if (line != ";;") {
      statement += line + "\n";
      continue;
    }
    std::cout << sql.Run(statement) << "\n--\n" << std::flush;
    statement.clear();
  }
  if (!statement.empty()) std::cout << sql.Run(statement) << "\n";
}

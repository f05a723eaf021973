// Does once what every first statement would have to wait for, while a pod waits for its tenant.
#ifndef INSULA_SQL_SERVER_WARM_UP_H_
#define INSULA_SQL_SERVER_WARM_UP_H_

namespace insula::sql {

// Builds the tables of types, functions, casts and settings, and runs parser, binder and optimizer over statements that need no
// table. Takes some 10 ms of CPU, once.
void WarmUp();

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_WARM_UP_H_

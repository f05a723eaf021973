// The event loop for unit tests (base/async/testing), under the name that tests in kv/ know it by.
#ifndef INSULA_KV_API_TESTING_TEST_LOOP_H_
#define INSULA_KV_API_TESTING_TEST_LOOP_H_

#include "base/async/testing/test_loop.h"  // IWYU pragma: export

#endif  // INSULA_KV_API_TESTING_TEST_LOOP_H_

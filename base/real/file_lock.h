// Whether a file is locked (FileSystem::LockFile), for whoever only looks.
#ifndef INSULA_BASE_REAL_FILE_LOCK_H_
#define INSULA_BASE_REAL_FILE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace insula {

// Whether a process has `path` locked now; a file that is not there is not locked. Makes nothing, and no LockFile ever fails because of it.
absl::StatusOr<bool> IsFileLocked(const std::string& path);

}  // namespace insula

#endif  // INSULA_BASE_REAL_FILE_LOCK_H_

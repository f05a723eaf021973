// What a store knows of its disk.
#ifndef INSULA_KV_STORE_DISK_SPACE_H_
#define INSULA_KV_STORE_DISK_SPACE_H_

#include <cstdint>

namespace insula::kv {

struct DiskSpace {
  uint64_t capacity_bytes = 0;
  uint64_t available_bytes = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_DISK_SPACE_H_

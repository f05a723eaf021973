// CRC-32C (Castagnoli), for what lies on disk or travels in pieces. Uses the processor's instruction where there is one.
#ifndef INSULA_KV_STORAGE_CRC32C_H_
#define INSULA_KV_STORAGE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace insula::kv::storage {

// Of `data`, continuing from the checksum `crc` of what came before.
uint32_t Crc32c(std::string_view data, uint32_t crc = 0);
// The plain table version, on every machine (tests compare the two).
uint32_t Crc32cPortable(std::string_view data, uint32_t crc = 0);

}  // namespace insula::kv::storage

#endif  // INSULA_KV_STORAGE_CRC32C_H_

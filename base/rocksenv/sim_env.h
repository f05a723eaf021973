// RocksDB in the simulated world: its files lie on the simulated disk, its time is virtual, and its background jobs
// (flushes, compactions) are events of the process that owns it, run one at a time between other events.
//
//   auto env = MakeSimEnv(process);          // dies with the process: own it from what Boot returned, after the DB
//   rocksdb::Options options = …;
//   PrepareForSimulation(&options, env.get());
//   rocksdb::DB::Open(options, "data/state", &db);
//   db->Flush({.wait = false, …});           // its end: EventListener::OnFlushCompleted, at a later virtual time
//
// One thread runs everything, so nothing may wait for a background job: no waiting flush, no CompactRange, no stalls
// (PrepareForSimulation switches RocksDB's own off), and flush before ingesting files. Such a wait would never end.
// RocksDB does not sync the folder above its own: create the database's folder yourself and SyncDir its parent, or a crash may
// take the whole database.
// During a crash every file operation fails, so what the database's destructor does reaches nothing.
#ifndef INSULA_BASE_ROCKSENV_SIM_ENV_H_
#define INSULA_BASE_ROCKSENV_SIM_ENV_H_

#include <memory>

namespace rocksdb {
class Env;
struct Options;
}  // namespace rocksdb

namespace insula {

class SimProcess;

// For one incarnation of `process`.
std::shared_ptr<rocksdb::Env> MakeSimEnv(SimProcess* process);

// Sets `env` and what a single thread needs; see above.
void PrepareForSimulation(rocksdb::Options* options, rocksdb::Env* env);

}  // namespace insula

#endif  // INSULA_BASE_ROCKSENV_SIM_ENV_H_

#include "base/real/real_world.h"

namespace insula {

RealWorld::RealWorld(RealExecutorOptions options)
    : executor_(MakeRealExecutor(options)),
      random_(MakeKernelRandom()),
      files_(MakePosixFileSystem()),
      network_(MakeAsioNetwork(executor_.get())) {}

RealWorld::~RealWorld() = default;

Runtime RealWorld::runtime() const {
  return Runtime{.executor = executor_.get(),
                 .clock = &executor_->clock(),
                 .random = random_.get(),
                 .files = files_.get(),
                 .network = network_.get()};
}

}  // namespace insula

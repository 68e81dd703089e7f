#pragma once

#include "millrace/state/state_store.h"

namespace millrace {

/// States that are gone with their stores. A frozen state is several files, and a file whose
/// entries did not change keeps its identity, as table files do.
class InMemoryStates : public StateStores {
 public:
  Task<Result<std::unique_ptr<StateStore>>> Open(std::string shard) override;
  Task<Status> Remove(std::string shard) override;
};

}  // namespace millrace

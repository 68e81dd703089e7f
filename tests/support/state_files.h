#pragma once

#include <string>
#include <utility>
#include <vector>

#include "millrace/base/byte_stream.h"
#include "millrace/state/state_store.h"
#include "support/test_executor.h"

namespace millrace::test {

/// A frozen state, held in memory.
using FrozenState = std::vector<std::pair<StateFile, Buffer>>;

inline std::string ReadAll(ByteSource& source) {
  std::string all;
  for (std::string piece = source.Read(1000).value(); !piece.empty();
       piece = source.Read(1000).value())
    all += piece;
  return all;
}

inline FrozenState FreezeState(TestExecutor& executor, StateStore& store) {
  FrozenState frozen;
  const auto files = executor.RunUntilDone(store.Freeze()).value();
  for (const StateFile& file : files) {
    const auto source = executor.RunUntilDone(store.ReadFile(file.name)).value();
    frozen.emplace_back(file, Buffer::Own(ReadAll(*source)));
  }
  return frozen;
}

/// Restores file by file, as whoever loads a checkpoint does.
inline Status RestoreState(TestExecutor& executor, StateStore& store, const FrozenState& files) {
  MILLRACE_TRY(executor.RunUntilDone(store.BeginRestore()));
  for (const auto& [file, data] : files) {
    MILLRACE_ASSIGN(const auto sink, executor.RunUntilDone(store.RestoreFile(file)));
    const size_t half = data.bytes.size() / 2;
    MILLRACE_TRY(sink->Write(data.bytes.substr(0, half)));
    MILLRACE_TRY(sink->Write(data.bytes.substr(half)));
    MILLRACE_TRY(sink->Finish());
  }
  return executor.RunUntilDone(store.FinishRestore());
}

}  // namespace millrace::test

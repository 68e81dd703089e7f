#pragma once

#include <memory>
#include <string>

namespace rocksdb {
class Logger;
}

namespace millrace {

/// For Options::info_log of the database in `folder`: its errors become warnings, at most one in
/// ten seconds; everything else is dropped. Threads: any.
std::shared_ptr<rocksdb::Logger> RocksDbErrorsToLog(std::string folder);

}  // namespace millrace

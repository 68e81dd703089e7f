#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "millrace/operations/operations.h"

namespace millrace {

/// Asks servers what operators ask. It connects with the first call. Of several each call goes to
/// the one that answered last, and to the next one if that cannot be reached, is no coordinator, or
/// does not lead where only the leader can do it. A call that changes something goes to another
/// server only if it is sure that the one before did nothing.
///
/// Every call blocks until it is answered, at most `timeout`, or an hour where it waits until
/// results are applied; so RunNow (base/run_now.h) gives its result. A caller's Left is not looked
/// at. A cursor reads on as rows come, and `timeout` is that of each wait for more. Its reader may
/// take its time: the server allows a minute before it ends the query.
///
/// kUnavailable: the server cannot be reached; else errors are those of the server. Threads: any;
/// a cursor has one.
std::unique_ptr<operations::Operations> ConnectOperations(
    const std::vector<std::string>& servers,
    std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace millrace

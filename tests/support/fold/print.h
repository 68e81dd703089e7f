#pragma once

#include <string>
#include <vector>

#include "millrace/model/row.h"
#include "millrace/model/spec.h"
#include "millrace/window/shard_fold.h"

namespace millrace::fold {

/// The members of a case's `expected`, as one JSON object.
std::string PrintOutput(const PipelineSpec& pipeline, const std::vector<OutputRow>& rows,
                        const window::Ledger& ledger, Micros watermark);

}  // namespace millrace::fold

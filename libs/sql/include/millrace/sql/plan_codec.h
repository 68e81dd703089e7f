#pragma once

#include <string>
#include <string_view>

#include "millrace/base/result.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Plans as bytes (docs/formats/plan.md). The bytes are not canonical: compare PlanHash().
std::string EncodeStream(const StreamSpec& spec);
std::string EncodePipeline(const PipelineSpec& spec);

/// Back, checked: whatever the bytes, the result is a plan that is safe to run or kCorruption.
/// A pipeline alone does not say what its stream's columns are: see CheckPipeline().
Result<StreamSpec> DecodeStream(std::string_view bytes);
Result<PipelineSpec> DecodePipeline(std::string_view bytes);

/// The pipeline's expressions read columns that the stream has, with their types, and every operand
/// has the type that its operator demands. kCorruption if not; nothing that PlanScript made fails.
Status CheckPipeline(const PipelineSpec& pipeline, const StreamSpec& stream);

}  // namespace millrace

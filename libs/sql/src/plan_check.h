#pragma once

#include <vector>

#include "millrace/base/result.h"
#include "millrace/model/spec.h"

namespace millrace {

/// What every plan satisfies, so that bytes from outside cannot make one that does not. All errors
/// are kCorruption.
Status CheckStream(const StreamSpec& stream);
/// `columns`: types of the stream's columns, or nullptr if the stream is not at hand.
Status CheckStructure(const PipelineSpec& pipeline, const std::vector<Type>* columns);

}  // namespace millrace

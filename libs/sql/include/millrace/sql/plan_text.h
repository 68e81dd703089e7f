#pragma once

#include <string>

#include "millrace/base/hash.h"
#include "millrace/model/spec.h"

namespace millrace {

/// The canonical text of a plan (docs/formats/plan.md): complete, the same on every machine, and
/// different for any two plans that differ. Its hash tells whether two definitions are the same.
std::string PlanText(const StreamSpec& spec);
std::string PlanText(const PipelineSpec& spec);

/// 128 bits over PlanText().
Hash128 PlanHash(const StreamSpec& spec);
Hash128 PlanHash(const PipelineSpec& spec);

}  // namespace millrace

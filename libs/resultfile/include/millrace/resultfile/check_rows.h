#pragma once

#include <vector>

#include "millrace/base/result.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace {

/// kInternal: a row is no file row, its number is not the one after the row before, or its values
/// do not fit the columns.
Status CheckFileRows(const std::vector<OutputColumn>& columns, const std::vector<OutputRow>& rows);

}  // namespace millrace

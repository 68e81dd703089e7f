#pragma once

#include "millrace/doctor/probe.h"

namespace millrace::serving_postgres {

/// Looks at a database: rights, tables of ours that a crash could empty, poolers, standbys, dead
/// rows. What it makes it rolls back.
class DatabaseProbe : public doctor::Probe {
 public:
  /// `conninfo`: a connection string or URI of libpq. `mark` belongs to this run alone: letters and
  /// digits.
  DatabaseProbe(std::string conninfo, const std::string& mark)
      : conninfo_(std::move(conninfo)), schema_("_millrace_doctor_" + mark) {}

  Task<doctor::Findings> Run() override;

 private:
  const std::string conninfo_;
  const std::string schema_;
};

}  // namespace millrace::serving_postgres

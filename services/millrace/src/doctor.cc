#include "doctor.h"

#include <algorithm>
#include <ostream>

namespace millrace {
namespace {

constexpr size_t kGap = 2;

/// A line for each, with what was found and what to do behind each other: they are too long for
/// columns.
void WriteLines(const doctor::Findings& findings, std::ostream& out) {
  size_t part = 0, check = 0;
  for (const doctor::Finding& f : findings) {
    part = std::max(part, f.part.size());
    check = std::max(check, f.check.size());
  }
  const auto cell = [&](std::string text, size_t width) {
    text.resize(width + kGap, ' ');
    out << text;
  };
  for (const doctor::Finding& f : findings) {
    cell(std::string(doctor::GradeName(f.grade)), sizeof("FAIL") - 1);
    cell(f.part, part);
    cell(f.check, check);
    out << f.found << (f.advice.empty() ? "" : "; to do: " + f.advice) << '\n';
  }
}

void WriteRows(const doctor::Findings& findings, cli::Format format, const cli::Console& console) {
  ServingTable table;
  table.names = {"result", "part", "check", "found", "advice"};
  table.types.assign(table.names.size(), Type::kText);
  for (const doctor::Finding& f : findings) {
    std::vector<Value> row;
    for (std::string cell :
         {std::string(doctor::GradeName(f.grade)), f.part, f.check, f.found, f.advice})
      row.push_back({Type::kText, std::move(cell)});
    table.rows.push_back(std::move(row));
  }
  cli::WriteTable(table, format, console);
}

}  // namespace

int RunDoctor(const Result<doctor::Findings>& findings, const DoctorOptions& options,
              const cli::Console& console) {
  if (!findings.ok()) {
    console.Fail(findings.error());
    return cli::kExitConfig;
  }
  if (options.format == cli::Format::kTable) {
    WriteLines(*findings, console.out);
  } else {
    WriteRows(*findings, options.format, console);
  }
  const int written = console.Finish();
  if (written != cli::kExitOk) return written;
  return doctor::AnyFailed(*findings) ? cli::kExitRuntime : cli::kExitOk;
}

}  // namespace millrace

#include "support/fold/print.h"

#include <map>

namespace millrace::fold {
namespace {

/// A value as cases write it: integers beyond 2^53 as strings, times always as numbers.
std::string CaseValue(const Value& v) {
  constexpr int64_t kExact = int64_t{1} << 53;
  if (v.is_null()) return "null";
  if (v.type == Type::kNumeric) {
    const Int128 n = std::get<Int128>(v.data);
    const std::string text = FormatNumeric(n);
    return n > kExact || n < -kExact ? JsonQuote(text) : text;
  }
  if (v.type == Type::kTimestamp) return std::to_string(std::get<int64_t>(v.data));
  if (v.type == Type::kBool) return std::get<int64_t>(v.data) != 0 ? "true" : "false";
  if (const auto* n = std::get_if<int64_t>(&v.data)) {
    return *n > kExact || *n < -kExact ? JsonQuote(std::to_string(*n)) : std::to_string(*n);
  }
  return ValueJson(v);
}

std::string CaseTime(Micros t) {
  if (t == kPlusInfinity) return "\"infinity\"";
  return t == kMinusInfinity ? "null" : std::to_string(t);
}

class Printer {
 public:
  explicit Printer(const PipelineSpec& pipeline) : pipeline_(pipeline) {
    for (const GroupColumn& g : pipeline.group_by) key_types_.push_back(g.expr.type);
  }

  void Add(const OutputRow& row) {
    switch (row.output) {
      case Output::kResults:
        return Element("rows", Window(row, true));
      case Output::kProvisional:
        return Element("provisional", Window(row, false));
      case Output::kFiles:
        return row.file_end ? EndFile(row) : FileRow(row);
      case Output::kLate:
        return Element("late", "\"offset\":" + At(row) +
                                   ",\"missed\":" + std::to_string(row.missed) +
                                   ",\"first_missed_end\":" + CaseTime(row.first_missed_end) +
                                   ",\"last_missed_end\":" + CaseTime(row.last_missed_end));
      case Output::kQuarantine:
        if (row.is_row)
          return Element("row_errors",
                         Span(row) + Group(row) + ",\"at_offset\":" + At(row) + Detail(row));
        return Element("quarantine", "\"offset\":" + At(row) + ",\"reason\":" +
                                         JsonQuote(ReasonName(row.reason)) + Detail(row));
    }
  }

  std::string Finish(const window::Ledger& ledger, Micros watermark) {
    if (file_rows_ > 0) File("null");
    std::string out = "{";
    for (const char* name : {"rows", "file_rows", "files", "late", "quarantine"}) {
      out += JsonQuote(name) + ":[" + lists_[name] + "],";
    }
    if (pipeline_.updates) out += "\"provisional\":[" + lists_["provisional"] + "],";
    if (!lists_["row_errors"].empty()) out += "\"row_errors\":[" + lists_["row_errors"] + "],";
    std::string counters;
    for (const auto& [name, n] : ledger.Counters()) {
      if (n != 0)
        counters += (counters.empty() ? "" : ",") + JsonQuote(name) + ":" + std::to_string(n);
    }
    return out + "\"counters\":{" + counters + "},\"watermark\":" + CaseTime(watermark) + "}";
  }

 private:
  static std::string At(const OutputRow& row) {
    return std::to_string(row.cause.value + row.cause_row);
  }

  /// Only where the rules fix the text.
  static std::string Detail(const OutputRow& row) {
    return row.reason == Reason::kEvaluationError ? ",\"detail\":" + JsonQuote(row.detail) : "";
  }

  void Element(const std::string& list, const std::string& members) {
    std::string& out = lists_[list];
    if (!out.empty()) out += ",";
    out += "{" + members + "}";
  }

  static std::string Span(const OutputRow& row) {
    return "\"window_start\":" + CaseTime(row.window_start) +
           ",\"window_end\":" + CaseTime(row.window_end);
  }

  /// The group columns, from the key: what deleted and failed rows have.
  std::string Group(const OutputRow& row) const {
    const auto values = DecodeKey(row.key, key_types_).value();
    std::string out;
    for (const OutputColumn& c : pipeline_.select) {
      if (c.group_column < 0) continue;
      out += "," + JsonQuote(c.name) + ":" + CaseValue(values[static_cast<size_t>(c.group_column)]);
    }
    return out;
  }

  std::string Window(const OutputRow& row, bool final_row) const {
    std::string out = "\"_seq\":" + std::to_string(row.seq) + ",";
    if (final_row) out += "\"_revision\":" + std::to_string(row.revision) + ",";
    if (row.deleted)
      return out + "\"_deleted\":true," + Span(row) + Group(row) + ",\"at_offset\":" + At(row);
    for (size_t i = 0; i < pipeline_.select.size(); ++i) {
      out += JsonQuote(pipeline_.select[i].name) + ":" + CaseValue(row.values[i]) + ",";
    }
    return out + "\"at_offset\":" + At(row);
  }

  void FileRow(const OutputRow& row) {
    if (file_rows_++ == 0) {
      file_first_ = row.seq;
      const Micros last = row.window_end - 1;
      file_date_ = last - FloorMod(last, pipeline_.file_interval);
    }
    file_last_ = row.seq;
    Element("file_rows", "\"_seq\":" + std::to_string(row.seq) +
                             ",\"result_seq\":" + std::to_string(row.result_seq) + ",\"file\":" +
                             std::to_string(files_ + 1) + ",\"at_offset\":" + At(row));
  }

  void EndFile(const OutputRow& row) { File(At(row)); }

  void File(const std::string& ended_at) {
    Element("files", "\"date\":" + JsonQuote(FormatDate(file_date_)) +
                         ",\"first_seq\":" + std::to_string(file_first_) + ",\"last_seq\":" +
                         std::to_string(file_last_) + ",\"ended_at\":" + ended_at);
    ++files_;
    file_rows_ = 0;
  }

  const PipelineSpec& pipeline_;
  std::vector<Type> key_types_;
  std::map<std::string, std::string> lists_;
  int64_t files_ = 0;
  int64_t file_rows_ = 0;
  int64_t file_first_ = 0;
  int64_t file_last_ = 0;
  Micros file_date_ = 0;
};

}  // namespace

std::string PrintOutput(const PipelineSpec& pipeline, const std::vector<OutputRow>& rows,
                        const window::Ledger& ledger, Micros watermark) {
  Printer printer(pipeline);
  for (const OutputRow& row : rows) printer.Add(row);
  return printer.Finish(ledger, watermark);
}

}  // namespace millrace::fold

#include "millrace/serving/in_memory_serving_store.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <tuple>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/serving/table_shape.h"

namespace millrace {
namespace {

constexpr Output kTables[] = {Output::kResults, Output::kLate, Output::kQuarantine};

Output TableOf(Output output) { return output == Output::kProvisional ? Output::kResults : output; }

struct Standing {
  OutputRow row;
  ShardId shard;
};

struct Table {
  std::vector<ServingColumn> columns;
  /// By what readers order by, which is also what identifies a row.
  std::map<std::string, Standing> rows;
};

struct Defined {
  PipelineSpec pipeline;
  std::map<Output, Table> tables;
};

/// Orders results by window end, start and key; the others by partition and sequence.
std::string OrderKey(const ShardId& shard, const OutputRow& row) {
  if (TableOf(row.output) == Output::kResults) return ServingKey(row);
  std::string key;
  AppendOrdered(&key, shard.partition.value);
  AppendOrdered(&key, row.seq);
  return key;
}

bool InRange(const ServingQuery& query, const OutputRow& row) {
  const Micros at = row.output == Output::kLate ? row.event_time : row.window_start;
  return (!query.from || at >= *query.from) && (!query.to || at < *query.to);
}

}  // namespace

struct InMemoryServingStore::State {
  std::string mark;
  std::map<Incarnation, Defined> defined;
  std::map<std::string, std::pair<Incarnation, Output>> views;
  std::map<ShardId, Fence> fences;
};

InMemoryServingStore::InMemoryServingStore() : state_(std::make_unique<State>()) {}
InMemoryServingStore::~InMemoryServingStore() = default;

void InMemoryServingStore::Remember() { remembered_ = std::make_unique<State>(*state_); }
void InMemoryServingStore::GoBack() { *state_ = *remembered_; }

Task<Result<std::string>> InMemoryServingStore::ReadMark() { co_return state_->mark; }

Task<Result<std::string>> InMemoryServingStore::Mark(std::string mark, bool replace) {
  if (state_->mark.empty() || replace) state_->mark = std::move(mark);
  co_return state_->mark;
}

Task<Status> InMemoryServingStore::Define(Incarnation incarnation, StreamSpec stream,
                                          PipelineSpec pipeline) {
  MILLRACE_CO_TRY(CheckServingTables(stream, pipeline));
  for (const Output output : kTables) {
    const std::string view = ServingViewName(incarnation.name_space, incarnation.name, output);
    const auto it = state_->views.find(view);
    if (it != state_->views.end() && (it->second.first.name != incarnation.name ||
                                      it->second.first.name_space != incarnation.name_space)) {
      co_return Conflict("another pipeline has a view of this name: choose another name",
                         {{"view", view}, {"pipeline", it->second.first.ToString()}});
    }
  }
  Defined& d = state_->defined[incarnation];
  d.pipeline = pipeline;
  for (const Output output : kTables) {
    d.tables[output].columns = ServingColumns(stream, pipeline, output);
    auto& view = state_->views[ServingViewName(incarnation.name_space, incarnation.name, output)];
    if (view.first.defined_at <= incarnation.defined_at) view = {incarnation, output};
  }
  co_return Status();
}

Task<Status> InMemoryServingStore::DropViews(Incarnation incarnation) {
  std::erase_if(state_->views, [&](const auto& v) { return v.second.first == incarnation; });
  co_return Status();
}

Task<Result<std::vector<Incarnation>>> InMemoryServingStore::ListViews() {
  std::set<Incarnation> shown;
  for (const auto& [view, table] : state_->views) shown.insert(table.first);
  co_return std::vector<Incarnation>(shown.begin(), shown.end());
}

Task<Status> InMemoryServingStore::Attach(Incarnation incarnation, StreamSpec, PipelineSpec) {
  if (!state_->defined.contains(incarnation))
    co_return NotFound("the tables are not there yet", {{"incarnation", incarnation.ToString()}});
  co_return Status();
}

Task<Result<Fence>> InMemoryServingStore::TakeOver(ShardId shard, Epoch epoch) {
  Fence& fence = state_->fences.try_emplace(shard, Fence{epoch}).first->second;
  if (fence.epoch > epoch)
    co_return Fenced(
        "a newer owner writes this shard",
        {{"shard", shard.ToString()}, {"epoch", epoch.value}, {"newer", fence.epoch.value}});
  fence.epoch = epoch;
  co_return fence;
}

Task<Result<std::vector<std::optional<Fence>>>> InMemoryServingStore::ReadFences(
    std::vector<ShardId> shards) {
  std::vector<std::optional<Fence>> fences;
  for (const ShardId& shard : shards) {
    const auto at = state_->fences.find(shard);
    fences.push_back(at == state_->fences.end() ? std::nullopt : std::optional(at->second));
  }
  co_return fences;
}

Task<Status> InMemoryServingStore::Apply(ServingBatch batch) {
  MILLRACE_CO_TRY(CheckServingBatch(batch));
  const auto defined = state_->defined.find(batch.shard.incarnation);
  if (defined == state_->defined.end())
    co_return NotFound("the incarnation is not defined here",
                       {{"incarnation", batch.shard.incarnation.ToString()}});
  const auto fence = state_->fences.find(batch.shard);
  if (fence == state_->fences.end() || fence->second != Fence{batch.epoch, batch.from}) {
    co_return Conflict("the fence is not where the batch begins: read it",
                       {{"shard", batch.shard.ToString()}, {"epoch", batch.epoch.value}});
  }
  for (const OutputRow& row : batch.rows)
    if (refused_ && refused_(row)) co_return RefusedRow(batch.shard, row, "refused by a test");
  fence->second.last = batch.to;
  for (OutputRow& row : batch.rows) {
    const Output output = TableOf(row.output);
    Table& table = defined->second.tables[output];
    const auto version = [](const OutputRow& r) { return std::tuple(r.revision > 0, r.seq); };
    const std::string key = OrderKey(batch.shard, row);
    const auto it = table.rows.find(key);
    if (it == table.rows.end()) {
      table.rows.emplace(key, Standing{std::move(row), batch.shard});
    } else if (output == Output::kResults && it->second.shard == batch.shard &&
               version(it->second.row) < version(row)) {
      it->second.row = std::move(row);
    }
  }
  co_return Status();
}

Task<Result<int64_t>> InMemoryServingStore::DeleteRaw(Micros appended_before, int64_t max_rows) {
  int64_t deleted = 0;
  for (auto& [incarnation, d] : state_->defined) {
    for (const Output output : {Output::kLate, Output::kQuarantine}) {
      std::erase_if(d.tables[output].rows, [&](const auto& r) {
        return r.second.row.caused_at < appended_before && deleted < max_rows && ++deleted > 0;
      });
    }
  }
  co_return deleted;
}

class InMemoryServingStore::Cursor : public RowCursor {
 public:
  Cursor(const Defined* defined, ServingQuery query)
      : defined_(defined), table_(&defined->tables.at(query.output)), query_(std::move(query)) {
    for (const ServingColumn& c : table_->columns) {
      if (c.meta && !query_.meta) continue;
      names_.push_back(c.name);
      types_.push_back(c.type);
    }
  }

  Status Filter() {
    if (query_.output == Output::kQuarantine && (query_.from || query_.to))
      return InvalidArgument("quarantined records have no window to filter by");
    for (const auto& [column, text] : query_.keys) {
      const auto at = std::find_if(table_->columns.begin(), table_->columns.end(),
                                   [&](const auto& c) { return c.name == column && !c.meta; });
      if (at == table_->columns.end())
        return InvalidArgument("no column has this name",
                               {{"column", column}, {"pipeline", query_.name}});
      MILLRACE_ASSIGN(Value value, ParseKeyText(column, at->type, text));
      filters_.emplace_back(at - table_->columns.begin(), std::move(value));
    }
    return {};
  }

  const std::vector<std::string>& names() const override { return names_; }
  const std::vector<Type>& types() const override { return types_; }
  void Cancel() override { cancelled_ = true; }

  Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) override {
    if (cancelled_) co_return Unavailable("the query was cancelled");
    ServingRows rows;
    size_t bytes = 0;
    for (auto at = table_->rows.upper_bound(after_);
         at != table_->rows.end() && rows.size() < max_rows && bytes < max_bytes; ++at) {
      after_ = at->first;
      const Standing& standing = at->second;
      if (standing.row.deleted || !InRange(query_, standing.row)) continue;
      std::vector<Value> cells = ServingCells(defined_->pipeline, standing.shard, standing.row);
      const bool wanted = std::all_of(filters_.begin(), filters_.end(), [&](const auto& f) {
        const Value& cell = cells[static_cast<size_t>(f.first)];
        return cell.is_null() == f.second.is_null() && ValueText(cell) == ValueText(f.second);
      });
      if (wanted) bytes += RowBytes(rows.emplace_back(Shown(std::move(cells))));
    }
    co_return rows;
  }

 private:
  std::vector<Value> Shown(std::vector<Value> cells) const {
    std::vector<Value> row;
    for (size_t i = 0; i < cells.size(); ++i) {
      const ServingColumn& column = table_->columns[i];
      if (column.meta && !query_.meta) continue;
      if (column.name == "_key") cells[i].data = Hex(std::get<std::string>(cells[i].data));
      row.push_back(std::move(cells[i]));
    }
    return row;
  }

  const Defined* const defined_;
  const Table* const table_;
  const ServingQuery query_;
  std::vector<std::string> names_;
  std::vector<Type> types_;
  std::vector<std::pair<std::ptrdiff_t, Value>> filters_;
  std::string after_;  ///< the last key that was looked at
  std::atomic<bool> cancelled_ = false;
};

Task<Result<std::shared_ptr<RowCursor>>> InMemoryServingStore::Open(ServingQuery query) {
  const auto view = state_->views.find(ServingViewName(query.name_space, query.name, query.output));
  if (view == state_->views.end())
    co_return NotFound("the serving store has no view of this pipeline",
                       {{"pipeline", query.name}});
  auto cursor = std::make_shared<Cursor>(&state_->defined.at(view->second.first), std::move(query));
  MILLRACE_CO_TRY(cursor->Filter());
  co_return std::shared_ptr<RowCursor>(std::move(cursor));
}

}  // namespace millrace

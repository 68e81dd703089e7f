#include "writer.h"

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"

namespace millrace::serving_sqlite {
namespace {

constexpr Output kTables[] = {Output::kResults, Output::kLate, Output::kQuarantine};

/// No window of the view is longer. Local days are not all of one length.
Micros LongestWindow(const WindowSpec& window) {
  return window.size + (window.zone.empty() ? 0 : 2 * kDay);
}

}  // namespace

Status Writer::Define(const Incarnation& incarnation, const StreamSpec& stream,
                      const PipelineSpec& pipeline) {
  MILLRACE_TRY(CheckServingTables(stream, pipeline));
  Defined d{pipeline, {}};
  for (const Output output : kTables)
    d.tables[output] = MakeTable(incarnation, stream, pipeline, output);
  Transaction transaction(connection_);
  MILLRACE_TRY(transaction.Begin());
  for (const auto& [output, table] : d.tables) {
    MILLRACE_TRY(connection_->Run(CreateTable(table)));
    MILLRACE_TRY(ShowInView(incarnation, table, LongestWindow(pipeline.window)));
  }
  MILLRACE_TRY(transaction.Commit());
  defined_[incarnation] = std::move(d);
  return {};
}

Status Writer::ShowInView(const Incarnation& incarnation, const TableSql& table,
                          Micros longest_window) {
  MILLRACE_ASSIGN(Statement owner,
                  connection_->Prepare(
                      "SELECT namespace, name, defined_at FROM _millrace_view WHERE view = ?"));
  owner.BindText(1, table.view);
  MILLRACE_ASSIGN(const bool found, owner.Step());
  if (found) {
    if (owner.Text(0) != incarnation.name_space || owner.Text(1) != incarnation.name)
      return Conflict("another pipeline has a view of this name: choose another name",
                      {{"view", table.view}, {"pipeline", owner.Text(0) + "/" + owner.Text(1)}});
    if (owner.Integer(2) >= incarnation.defined_at.value) return {};
  }
  owner.Reset();
  MILLRACE_TRY(connection_->Run("DROP VIEW IF EXISTS " + Quoted(table.view)));
  MILLRACE_TRY(connection_->Run(CreateView(table)));
  MILLRACE_ASSIGN(
      Statement own,
      connection_->Prepare("INSERT OR REPLACE INTO _millrace_view VALUES (?, ?, ?, ?, ?)"));
  own.BindText(1, table.view);
  own.BindText(2, incarnation.name_space);
  own.BindText(3, incarnation.name);
  own.BindInteger(4, incarnation.defined_at.value);
  own.BindInteger(5, longest_window);
  MILLRACE_TRY(own.Step());
  return {};
}

Status Writer::DropViews(const Incarnation& incarnation) {
  Transaction transaction(connection_);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(
      Statement drop,
      connection_->Prepare("DELETE FROM _millrace_view WHERE view = ? AND namespace = ? AND "
                           "name = ? AND defined_at = ?"));
  for (const Output output : kTables) {
    const std::string view = ServingViewName(incarnation.name_space, incarnation.name, output);
    drop.BindText(1, view);
    drop.BindText(2, incarnation.name_space);
    drop.BindText(3, incarnation.name);
    drop.BindInteger(4, incarnation.defined_at.value);
    MILLRACE_TRY(drop.Step());
    const bool shown = connection_->Touched() > 0;
    drop.Reset();
    if (shown) MILLRACE_TRY(connection_->Run("DROP VIEW IF EXISTS " + Quoted(view)));
  }
  return transaction.Commit();
}

Result<Fence> Writer::TakeOver(const ShardId& shard, Output output, Epoch epoch) {
  {
    Transaction transaction(connection_);
    MILLRACE_TRY(transaction.Begin());
    MILLRACE_ASSIGN(
        Statement take,
        connection_->Prepare("INSERT INTO _millrace_fence VALUES (?, ?, ?, ?, 0) ON CONFLICT "
                             "DO UPDATE SET epoch = excluded.epoch WHERE epoch < "
                             "excluded.epoch"));
    const std::string incarnation = shard.incarnation.ToString();
    take.BindText(1, incarnation);
    take.BindInteger(2, shard.partition.value);
    take.BindText(3, OutputName(output));
    take.BindInteger(4, epoch.value);
    MILLRACE_TRY(take.Step());
    MILLRACE_TRY(transaction.Commit());
  }
  MILLRACE_ASSIGN(const std::optional<Fence> fence, ReadFence(shard, output));
  if (!fence)
    return Unavailable("a fence went away",
                       {{"shard", shard.ToString()}, {"output", OutputName(output)}});
  if (fence->epoch > epoch)
    return Fenced("a newer owner writes this output", {{"shard", shard.ToString()},
                                                       {"output", OutputName(output)},
                                                       {"epoch", epoch.value},
                                                       {"newer", fence->epoch.value}});
  return *fence;
}

Result<std::optional<Fence>> Writer::ReadFence(const ShardId& shard, Output output) {
  MILLRACE_ASSIGN(
      Statement read,
      connection_->Prepare("SELECT epoch, seq FROM _millrace_fence WHERE incarnation = ? AND "
                           "partition = ? AND output = ?"));
  const std::string incarnation = shard.incarnation.ToString();
  read.BindText(1, incarnation);
  read.BindInteger(2, shard.partition.value);
  read.BindText(3, OutputName(output));
  MILLRACE_ASSIGN(const bool found, read.Step());
  if (!found) return std::optional<Fence>();
  return std::optional<Fence>(Fence{Epoch(read.Integer(0)), read.Integer(1)});
}

Status Writer::MoveFence(const ServingBatch& batch) {
  MILLRACE_ASSIGN(
      Statement move,
      connection_->Prepare("UPDATE _millrace_fence SET seq = ? WHERE incarnation = ? AND "
                           "partition = ? AND output = ? AND epoch = ? AND seq = ?"));
  const std::string incarnation = batch.shard.incarnation.ToString();
  move.BindInteger(1, batch.high);
  move.BindText(2, incarnation);
  move.BindInteger(3, batch.shard.partition.value);
  move.BindText(4, OutputName(batch.output));
  move.BindInteger(5, batch.epoch.value);
  move.BindInteger(6, batch.low);
  MILLRACE_TRY(move.Step());
  if (connection_->Touched() != 1)
    return Conflict("the fence is not where the batch begins: read it",
                    {{"shard", batch.shard.ToString()},
                     {"output", OutputName(batch.output)},
                     {"epoch", batch.epoch.value},
                     {"low", batch.low}});
  return {};
}

Status Writer::WriteRows(const ServingBatch& batch, const Defined& incarnation) {
  const bool results = batch.output == Output::kResults || batch.output == Output::kProvisional;
  const TableSql& table = incarnation.tables.at(results ? Output::kResults : batch.output);
  MILLRACE_ASSIGN(Statement upsert, connection_->Prepare(Upsert(table)));
  // Row after row, so that a key that comes twice meets its own earlier row under the same WHERE.
  for (const OutputRow& row : batch.rows) {
    const std::vector<Value> cells = ServingCells(incarnation.pipeline, batch.shard, row);
    if (cells.size() != table.columns.size())
      return Internal("a row has other columns than its table",
                      {{"shard", batch.shard.ToString()},
                       {"output", OutputName(batch.output)},
                       {"cells", cells.size()},
                       {"columns", table.columns.size()}});
    int at = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
      ++at;
      if (table.columns[i].name == "_key") {
        upsert.BindBlob(at, std::get<std::string>(cells[i].data));
      } else {
        upsert.BindValue(at, cells[i]);
      }
    }
    std::vector<std::optional<std::string>> exact;
    for (const auto& [numeric, name] : table.exact) exact.push_back(ExactDigits(cells[numeric]));
    for (const auto& digits : exact) {
      ++at;
      digits ? upsert.BindText(at, *digits) : upsert.BindNull(at);
    }
    if (results) upsert.BindInteger(++at, row.deleted ? 1 : 0);
    MILLRACE_TRY(upsert.Step());
    upsert.Reset();
  }
  return {};
}

Status Writer::Apply(const ServingBatch& batch) {
  MILLRACE_TRY(CheckServingBatch(batch));
  const auto incarnation = defined_.find(batch.shard.incarnation);
  if (incarnation == defined_.end())
    return NotFound("the incarnation is not defined here",
                    {{"incarnation", batch.shard.incarnation.ToString()}});
  CrashPoint("serving.apply.begin");
  Transaction transaction(connection_);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_TRY(MoveFence(batch));
  MILLRACE_TRY(WriteRows(batch, incarnation->second));
  CrashPoint("serving.apply.before_commit");
  MILLRACE_TRY(transaction.Commit());
  CrashPoint("serving.apply.committed");
  return {};
}

Result<int64_t> Writer::DeleteRaw(Micros appended_before, int64_t max_rows) {
  // Whoever wrote a row moved a fence, so the fences name every shard that has rows, also of
  // incarnations that were dropped long ago.
  std::vector<std::pair<ShardId, Output>> written;
  for (const Output output : {Output::kLate, Output::kQuarantine}) {
    MILLRACE_ASSIGN(
        Statement fences,
        connection_->Prepare("SELECT incarnation || '/p' || partition FROM _millrace_fence "
                             "WHERE output = ? AND seq > 0"));
    fences.BindText(1, OutputName(output));
    for (;;) {
      MILLRACE_ASSIGN(const bool found, fences.Step());
      if (!found) break;
      ShardId shard;
      if (!ShardId::Parse(fences.Text(0), &shard))
        return Corruption("a fence is of no shard", {{"shard", fences.Text(0)}});
      written.emplace_back(shard, output);
    }
  }
  int64_t deleted = 0;
  for (const auto& [shard, output] : written) {
    if (deleted == max_rows) break;
    MILLRACE_ASSIGN(const int64_t n,
                    DeleteRawOf(shard, output, appended_before, max_rows - deleted));
    deleted += n;
  }
  return deleted;
}

/// One statement, so one transaction. It looks at the first `max_rows` rows by number only: times
/// of a shard's rows rise but for moments, so those to delete are among them.
Result<int64_t> Writer::DeleteRawOf(const ShardId& shard, Output output, Micros appended_before,
                                    int64_t max_rows) {
  const std::string name = TableName(shard.incarnation, output);
  MILLRACE_ASSIGN(Statement table,
                  connection_->Prepare("SELECT 1 FROM sqlite_master WHERE name = ?"));
  table.BindText(1, name);
  MILLRACE_ASSIGN(const bool there, table.Step());
  if (!there) return 0;
  table.Reset();
  const Value before{Type::kTimestamp, appended_before};
  MILLRACE_ASSIGN(Statement oldest, connection_->Prepare(OldestIsBefore(name)));
  oldest.BindInteger(1, shard.partition.value);
  oldest.BindValue(2, before);
  oldest.BindInteger(3, max_rows);
  MILLRACE_ASSIGN(const bool due, oldest.Step());
  if (!due || oldest.Integer(0) == 0) return 0;
  oldest.Reset();
  MILLRACE_ASSIGN(Statement remove, connection_->Prepare(DeleteOldest(name)));
  remove.BindInteger(1, shard.partition.value);
  remove.BindValue(2, before);
  remove.BindInteger(3, max_rows);
  MILLRACE_TRY(remove.Step());
  return connection_->Touched();
}

}  // namespace millrace::serving_sqlite

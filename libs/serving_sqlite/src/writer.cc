#include "writer.h"

#include <cstring>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"

namespace millrace::serving_sqlite {
namespace {

constexpr Output kTables[] = {Output::kResults, Output::kLate, Output::kQuarantine};

/// No window of the view is longer. Local days are not all of one length.
Micros LongestWindow(const WindowSpec& window) {
  return window.size + (window.zone.empty() ? 0 : 2 * kDay);
}

/// What an operator can put right is no fault of a row.
Status MayPass(Status status) {
  if (status.ok() || status.error().code != Code::kInvalidArgument) return status;
  return Unavailable(status.error().message);
}

}  // namespace

Status Writer::Define(const Incarnation& incarnation, const StreamSpec& stream,
                      const PipelineSpec& pipeline) {
  MILLRACE_TRY(CheckServingTables(stream, pipeline));
  Transaction transaction(connection_);
  MILLRACE_TRY(transaction.Begin());
  for (const Output output : kTables) {
    const TableSql table = MakeTable(incarnation, stream, pipeline, output);
    MILLRACE_TRY(connection_->Run(CreateTable(table)));
    MILLRACE_TRY(ShowInView(incarnation, table, LongestWindow(pipeline.window)));
  }
  return transaction.Commit();
}

Result<std::string> Writer::ReadMark() {
  MILLRACE_ASSIGN(Statement read, connection_->Prepare("SELECT mark FROM _millrace_cluster"));
  MILLRACE_ASSIGN(const bool there, read.Step());
  return there ? read.Text(0) : std::string();
}

Result<std::string> Writer::Mark(const std::string& mark, bool replace) {
  MILLRACE_ASSIGN(
      Statement set,
      connection_->Prepare(std::string("INSERT INTO _millrace_cluster VALUES (1, ?) ON CONFLICT "
                                       "DO ") +
                           (replace ? "UPDATE SET mark = excluded.mark" : "NOTHING")));
  set.BindText(1, mark);
  MILLRACE_TRY(set.Step());
  return ReadMark();
}

Status Writer::Attach(const Incarnation& incarnation, const StreamSpec& stream,
                      const PipelineSpec& pipeline) {
  Attached a{pipeline, {}};
  for (const Output output : kTables) {
    a.tables[output] = MakeTable(incarnation, stream, pipeline, output);
    MILLRACE_ASSIGN(const bool there, HasTable(a.tables[output].table));
    if (!there)
      return NotFound("the tables are not there yet", {{"incarnation", incarnation.ToString()}});
  }
  attached_[incarnation] = std::move(a);
  return {};
}

Result<bool> Writer::HasTable(const std::string& name) {
  MILLRACE_ASSIGN(Statement table,
                  connection_->Prepare("SELECT 1 FROM sqlite_master WHERE name = ?"));
  table.BindText(1, name);
  return table.Step();
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

Result<std::vector<Incarnation>> Writer::ListViews() {
  MILLRACE_ASSIGN(Statement shown,
                  connection_->Prepare("SELECT DISTINCT namespace, name, defined_at FROM "
                                       "_millrace_view ORDER BY 1, 2, 3"));
  std::vector<Incarnation> incarnations;
  for (;;) {
    MILLRACE_ASSIGN(const bool found, shown.Step());
    if (!found) return incarnations;
    incarnations.push_back({shown.Text(0), shown.Text(1), Offset(shown.Integer(2))});
  }
}

Result<Fence> Writer::TakeOver(const ShardId& shard, Epoch epoch) {
  {
    Transaction transaction(connection_);
    MILLRACE_TRY(transaction.Begin());
    MILLRACE_ASSIGN(Statement take, connection_->Prepare(TakeFence()));
    const std::string incarnation = shard.incarnation.ToString();
    take.BindText(1, incarnation);
    take.BindInteger(2, shard.partition.value);
    take.BindInteger(3, epoch.value);
    MILLRACE_TRY(take.Step());
    MILLRACE_TRY(transaction.Commit());
  }
  MILLRACE_ASSIGN(const auto fences, ReadFences({shard}));
  const std::optional<Fence>& fence = fences.front();
  if (!fence) return Unavailable("a fence went away", {{"shard", shard.ToString()}});
  if (fence->epoch > epoch)
    return Fenced(
        "a newer owner writes this shard",
        {{"shard", shard.ToString()}, {"epoch", epoch.value}, {"newer", fence->epoch.value}});
  return *fence;
}

Result<std::vector<std::optional<Fence>>> Writer::ReadFences(const std::vector<ShardId>& shards) {
  std::vector<std::optional<Fence>> fences;
  MILLRACE_ASSIGN(Statement read, connection_->Prepare(ReadFence()));
  for (const ShardId& shard : shards) {
    const std::string incarnation = shard.incarnation.ToString();
    read.BindText(1, incarnation);
    read.BindInteger(2, shard.partition.value);
    MILLRACE_ASSIGN(const bool found, read.Step());
    std::optional<Fence>& fence = fences.emplace_back();
    int at = 0;
    if (found) fence.emplace(Fence{Epoch(read.Integer(at++))});
    for (const Output output : kServedOutputs) {
      if (!found) break;
      LastRow& last = fence->last[static_cast<size_t>(output)];
      last.seq = read.Integer(at++);
      const std::string hash = read.Text(at++);
      if (hash.size() != sizeof last.hash)
        return Corruption("a fence holds a hash of another length", {{"shard", shard.ToString()}});
      std::memcpy(&last.hash, hash.data(), hash.size());
    }
    read.Reset();
  }
  return fences;
}

Status Writer::MoveFence(const ServingBatch& batch) {
  MILLRACE_ASSIGN(Statement move, connection_->Prepare(serving_sqlite::MoveFence()));
  int at = 0;
  // Bound bytes must outlive the step, so they are those of the batch.
  const auto bind = [&](const LastRows& rows) {
    for (const Output output : kServedOutputs) {
      const LastRow& last = rows[static_cast<size_t>(output)];
      move.BindInteger(++at, last.seq);
      move.BindBlob(++at, {reinterpret_cast<const char*>(&last.hash), sizeof last.hash});
    }
  };
  const std::string incarnation = batch.shard.incarnation.ToString();
  bind(batch.to);
  move.BindText(++at, incarnation);
  move.BindInteger(++at, batch.shard.partition.value);
  move.BindInteger(++at, batch.epoch.value);
  bind(batch.from);
  MILLRACE_TRY(move.Step());
  if (connection_->Touched() != 1)
    return Conflict("the fence is not where the batch begins: read it",
                    {{"shard", batch.shard.ToString()}, {"epoch", batch.epoch.value}});
  return {};
}

Status Writer::WriteRows(const ServingBatch& batch, const Attached& incarnation) {
  std::map<Output, Statement> upserts;
  // Row after row, so that a key that comes twice meets its own earlier row under the same WHERE.
  for (const OutputRow& row : batch.rows) {
    const bool results = row.output == Output::kResults || row.output == Output::kProvisional;
    const Output output = results ? Output::kResults : row.output;
    const TableSql& table = incarnation.tables.at(output);
    auto upsert = upserts.find(output);
    if (upsert == upserts.end()) {
      MILLRACE_ASSIGN(Statement prepared, connection_->Prepare(Upsert(table)));
      upsert = upserts.emplace(output, std::move(prepared)).first;
    }
    MILLRACE_TRY(WriteRow(batch.shard, incarnation.pipeline, table, row, &upsert->second));
  }
  return {};
}

Status Writer::WriteRow(const ShardId& shard, const PipelineSpec& pipeline, const TableSql& table,
                        const OutputRow& row, Statement* upsert) {
  const std::vector<Value> cells = ServingCells(pipeline, shard, row);
  if (cells.size() != table.columns.size())
    return Internal("a row has other columns than its table", {{"shard", shard.ToString()},
                                                               {"output", OutputName(row.output)},
                                                               {"cells", cells.size()},
                                                               {"columns", table.columns.size()}});
  int at = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    ++at;
    if (table.columns[i].name == "_key") {
      upsert->BindBlob(at, std::get<std::string>(cells[i].data));
    } else {
      upsert->BindValue(at, cells[i]);
    }
  }
  std::vector<std::optional<std::string>> exact;
  for (const auto& [numeric, name] : table.exact) exact.push_back(ExactDigits(cells[numeric]));
  for (const auto& digits : exact) {
    ++at;
    digits ? upsert->BindText(at, *digits) : upsert->BindNull(at);
  }
  if (table.output == Output::kResults) upsert->BindInteger(++at, row.deleted ? 1 : 0);
  const auto written = upsert->Step();
  if (!written.ok() && upsert->refused()) return RefusedRow(shard, row, written.error().message);
  if (!written.ok()) return MayPass(written.error());
  upsert->Reset();
  return {};
}

Status Writer::Apply(const ServingBatch& batch) {
  MILLRACE_TRY(CheckServingBatch(batch));
  const auto incarnation = attached_.find(batch.shard.incarnation);
  if (incarnation == attached_.end())
    return NotFound("the incarnation is not attached here",
                    {{"incarnation", batch.shard.incarnation.ToString()}});
  CrashPoint("serving.apply.begin");
  Transaction transaction(connection_);
  MILLRACE_TRY(MayPass(transaction.Begin()));
  MILLRACE_TRY(MayPass(MoveFence(batch)));
  MILLRACE_TRY(WriteRows(batch, incarnation->second));
  CrashPoint("serving.apply.before_commit");
  MILLRACE_TRY(MayPass(transaction.Commit()));
  CrashPoint("serving.apply.committed");
  return {};
}

Result<int64_t> Writer::DeleteRaw(Micros appended_before, int64_t max_rows) {
  // Whoever wrote a row moved a fence, so the fences name every shard that has rows, also of
  // incarnations that were dropped long ago.
  std::vector<std::pair<ShardId, Output>> written;
  for (const Output output : {Output::kLate, Output::kQuarantine}) {
    MILLRACE_ASSIGN(Statement fences, connection_->Prepare(ShardsWith(output)));
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
  MILLRACE_ASSIGN(const bool there, HasTable(name));
  if (!there) return 0;
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

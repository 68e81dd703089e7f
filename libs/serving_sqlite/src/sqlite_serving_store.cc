#include "millrace/serving_sqlite/sqlite_serving_store.h"

#include <map>
#include <mutex>

#include "millrace/base/crash_point.h"
#include "millrace/base/executor.h"
#include "millrace/serving/table_shape.h"
#include "sqlite.h"
#include "tables.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::serving_sqlite {
namespace {

constexpr Output kTables[] = {Output::kResults, Output::kLate, Output::kQuarantine};

/// A query without filters reads all of a table: what a reader waits for, and its memory, must end.
constexpr size_t kMaxQueryRows = 10'000'000;

std::string Facts(const ShardId& shard, Output output) {
  return " shard=" + shard.ToString() + " output=" + std::string(OutputName(output));
}

}  // namespace

struct SqliteServingStore::Core {
  struct Defined {
    PipelineSpec pipeline;
    std::map<Output, TableSql> tables;
  };

  std::mutex writing;
  std::unique_ptr<Connection> writer;
  std::map<Incarnation, Defined> defined;
  std::mutex reading;
  std::unique_ptr<Connection> reader;

  Status Define(const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Status ShowInView(const Incarnation& incarnation, const TableSql& table);
  Status DropViews(const Incarnation& incarnation);
  Result<Fence> TakeOver(const ShardId& shard, Output output, Epoch epoch);
  Result<std::optional<Fence>> ReadFence(const ShardId& shard, Output output);
  Status Apply(const ServingBatch& batch);
  Status MoveFence(const ServingBatch& batch);
  Status WriteRows(const ServingBatch& batch, const Defined& incarnation);
  Result<int64_t> DeleteRaw(Micros appended_before, int64_t max_rows);
  Result<int64_t> DeleteRawOf(const ShardId& shard, Output output, Micros appended_before,
                              int64_t max_rows);
  Result<ServingTable> Query(const ServingQuery& query);
};

Status SqliteServingStore::Core::Define(const Incarnation& incarnation, const StreamSpec& stream,
                                        const PipelineSpec& pipeline) {
  MILLRACE_TRY(CheckServingTables(stream, pipeline));
  std::lock_guard lock(writing);
  Defined d{pipeline, {}};
  for (const Output output : kTables)
    d.tables[output] = MakeTable(incarnation, stream, pipeline, output);
  Transaction transaction(writer.get());
  MILLRACE_TRY(transaction.Begin());
  for (const auto& [output, table] : d.tables) {
    MILLRACE_TRY(writer->Run(CreateTable(table)));
    MILLRACE_TRY(ShowInView(incarnation, table));
  }
  MILLRACE_TRY(transaction.Commit());
  defined[incarnation] = std::move(d);
  return {};
}

Status SqliteServingStore::Core::ShowInView(const Incarnation& incarnation, const TableSql& table) {
  MILLRACE_ASSIGN(
      Statement owner,
      writer->Prepare("SELECT namespace, name, defined_at FROM _millrace_view WHERE view = ?"));
  owner.BindText(1, table.view);
  MILLRACE_ASSIGN(const bool found, owner.Step());
  if (found) {
    if (owner.Text(0) != incarnation.name_space || owner.Text(1) != incarnation.name)
      return Conflict("another pipeline has a view of this name: choose another name view=" +
                      table.view + " pipeline=" + owner.Text(0) + "/" + owner.Text(1));
    if (owner.Integer(2) >= incarnation.defined_at.value) return {};
  }
  owner.Reset();
  MILLRACE_TRY(writer->Run("DROP VIEW IF EXISTS " + Quoted(table.view)));
  MILLRACE_TRY(writer->Run(CreateView(table)));
  MILLRACE_ASSIGN(Statement own,
                  writer->Prepare("INSERT OR REPLACE INTO _millrace_view VALUES (?, ?, ?, ?)"));
  own.BindText(1, table.view);
  own.BindText(2, incarnation.name_space);
  own.BindText(3, incarnation.name);
  own.BindInteger(4, incarnation.defined_at.value);
  MILLRACE_TRY(own.Step());
  return {};
}

Status SqliteServingStore::Core::DropViews(const Incarnation& incarnation) {
  std::lock_guard lock(writing);
  Transaction transaction(writer.get());
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(Statement drop,
                  writer->Prepare("DELETE FROM _millrace_view WHERE view = ? AND namespace = ? AND "
                                  "name = ? AND defined_at = ?"));
  for (const Output output : kTables) {
    const std::string view = ServingViewName(incarnation.name_space, incarnation.name, output);
    drop.BindText(1, view);
    drop.BindText(2, incarnation.name_space);
    drop.BindText(3, incarnation.name);
    drop.BindInteger(4, incarnation.defined_at.value);
    MILLRACE_TRY(drop.Step());
    const bool shown = writer->Touched() > 0;
    drop.Reset();
    if (shown) MILLRACE_TRY(writer->Run("DROP VIEW IF EXISTS " + Quoted(view)));
  }
  return transaction.Commit();
}

Result<Fence> SqliteServingStore::Core::TakeOver(const ShardId& shard, Output output, Epoch epoch) {
  {
    std::lock_guard lock(writing);
    Transaction transaction(writer.get());
    MILLRACE_TRY(transaction.Begin());
    MILLRACE_ASSIGN(
        Statement take,
        writer->Prepare("INSERT INTO _millrace_fence VALUES (?, ?, ?, ?, 0) ON CONFLICT "
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
  if (!fence) return Unavailable("a fence went away" + Facts(shard, output));
  if (fence->epoch > epoch)
    return Fenced("a newer owner writes this output" + Facts(shard, output) + " epoch=" +
                  std::to_string(epoch.value) + " newer=" + std::to_string(fence->epoch.value));
  return *fence;
}

Result<std::optional<Fence>> SqliteServingStore::Core::ReadFence(const ShardId& shard,
                                                                 Output output) {
  std::lock_guard lock(writing);
  MILLRACE_ASSIGN(
      Statement read,
      writer->Prepare("SELECT epoch, seq FROM _millrace_fence WHERE incarnation = ? AND "
                      "partition = ? AND output = ?"));
  const std::string incarnation = shard.incarnation.ToString();
  read.BindText(1, incarnation);
  read.BindInteger(2, shard.partition.value);
  read.BindText(3, OutputName(output));
  MILLRACE_ASSIGN(const bool found, read.Step());
  if (!found) return std::optional<Fence>();
  return std::optional<Fence>(Fence{Epoch(read.Integer(0)), read.Integer(1)});
}

Status SqliteServingStore::Core::MoveFence(const ServingBatch& batch) {
  MILLRACE_ASSIGN(Statement move,
                  writer->Prepare("UPDATE _millrace_fence SET seq = ? WHERE incarnation = ? AND "
                                  "partition = ? AND output = ? AND epoch = ? AND seq = ?"));
  const std::string incarnation = batch.shard.incarnation.ToString();
  move.BindInteger(1, batch.high);
  move.BindText(2, incarnation);
  move.BindInteger(3, batch.shard.partition.value);
  move.BindText(4, OutputName(batch.output));
  move.BindInteger(5, batch.epoch.value);
  move.BindInteger(6, batch.low);
  MILLRACE_TRY(move.Step());
  if (writer->Touched() != 1)
    return Conflict(
        "the fence is not where the batch begins: read it" + Facts(batch.shard, batch.output) +
        " epoch=" + std::to_string(batch.epoch.value) + " low=" + std::to_string(batch.low));
  return {};
}

Status SqliteServingStore::Core::WriteRows(const ServingBatch& batch, const Defined& incarnation) {
  const bool results = batch.output == Output::kResults || batch.output == Output::kProvisional;
  const TableSql& table = incarnation.tables.at(results ? Output::kResults : batch.output);
  MILLRACE_ASSIGN(Statement upsert, writer->Prepare(Upsert(table)));
  // Row after row, so that a key that comes twice meets its own earlier row under the same WHERE.
  for (const OutputRow& row : batch.rows) {
    const std::vector<Value> cells = ServingCells(incarnation.pipeline, batch.shard, row);
    if (cells.size() != table.columns.size())
      return Internal("a row has other columns than its table" + Facts(batch.shard, batch.output) +
                      " cells=" + std::to_string(cells.size()) +
                      " columns=" + std::to_string(table.columns.size()));
    int at = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
      ++at;
      if (table.columns[i].name == "_key") {
        upsert.BindBlob(at, std::get<std::string>(cells[i].data));
      } else {
        upsert.BindValue(at, cells[i]);
      }
    }
    if (results) upsert.BindInteger(++at, row.deleted ? 1 : 0);
    MILLRACE_TRY(upsert.Step());
    upsert.Reset();
  }
  return {};
}

Status SqliteServingStore::Core::Apply(const ServingBatch& batch) {
  MILLRACE_TRY(CheckServingBatch(batch));
  std::lock_guard lock(writing);
  const auto incarnation = defined.find(batch.shard.incarnation);
  if (incarnation == defined.end())
    return NotFound("the incarnation is not defined here incarnation=" +
                    batch.shard.incarnation.ToString());
  CrashPoint("serving.apply.begin");
  Transaction transaction(writer.get());
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_TRY(MoveFence(batch));
  MILLRACE_TRY(WriteRows(batch, incarnation->second));
  CrashPoint("serving.apply.before_commit");
  MILLRACE_TRY(transaction.Commit());
  CrashPoint("serving.apply.committed");
  return {};
}

Result<int64_t> SqliteServingStore::Core::DeleteRaw(Micros appended_before, int64_t max_rows) {
  std::lock_guard lock(writing);
  // Whoever wrote a row moved a fence, so the fences name every shard that has rows, also of
  // incarnations that were dropped long ago.
  std::vector<std::pair<ShardId, Output>> written;
  for (const Output output : {Output::kLate, Output::kQuarantine}) {
    MILLRACE_ASSIGN(Statement fences,
                    writer->Prepare("SELECT incarnation || '/p' || partition FROM _millrace_fence "
                                    "WHERE output = ? AND seq > 0"));
    fences.BindText(1, OutputName(output));
    for (;;) {
      MILLRACE_ASSIGN(const bool found, fences.Step());
      if (!found) break;
      ShardId shard;
      if (!ShardId::Parse(fences.Text(0), &shard))
        return Corruption("a fence is of no shard shard=" + fences.Text(0));
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
Result<int64_t> SqliteServingStore::Core::DeleteRawOf(const ShardId& shard, Output output,
                                                      Micros appended_before, int64_t max_rows) {
  const std::string name = TableName(shard.incarnation, output);
  MILLRACE_ASSIGN(Statement table, writer->Prepare("SELECT 1 FROM sqlite_master WHERE name = ?"));
  table.BindText(1, name);
  MILLRACE_ASSIGN(const bool there, table.Step());
  if (!there) return 0;
  table.Reset();
  const std::string partition = "p" + std::to_string(shard.partition.value);
  const Value before{Type::kTimestamp, appended_before};
  MILLRACE_ASSIGN(Statement oldest, writer->Prepare(OldestIsBefore(name)));
  oldest.BindText(1, partition);
  oldest.BindValue(2, before);
  oldest.BindInteger(3, max_rows);
  MILLRACE_ASSIGN(const bool due, oldest.Step());
  if (!due || oldest.Integer(0) == 0) return 0;
  oldest.Reset();
  MILLRACE_ASSIGN(Statement remove, writer->Prepare(DeleteOldest(name)));
  remove.BindText(1, partition);
  remove.BindValue(2, before);
  remove.BindInteger(3, max_rows);
  MILLRACE_TRY(remove.Step());
  return writer->Touched();
}

Result<ServingTable> SqliteServingStore::Core::Query(const ServingQuery& query) {
  std::lock_guard lock(reading);
  const std::string view = ServingViewName(query.name_space, query.name, query.output);
  MILLRACE_ASSIGN(Statement owner,
                  reader->Prepare("SELECT namespace, name FROM _millrace_view WHERE view = ?"));
  owner.BindText(1, view);
  MILLRACE_ASSIGN(const bool found, owner.Step());
  if (!found || owner.Text(0) != query.name_space || owner.Text(1) != query.name)
    return NotFound("the serving store has no view of this pipeline pipeline=" + query.name);
  owner.Reset();
  if (query.output == Output::kQuarantine && (query.from || query.to))
    return InvalidArgument("quarantined records have no window to filter by");

  ServingTable out;
  std::map<std::string, Type> types;
  std::string columns;
  {
    MILLRACE_ASSIGN(Statement all, reader->Prepare("SELECT * FROM " + Quoted(view)));
    for (int i = 0; i < all.Columns(); ++i) {
      const std::string name = all.Name(i);
      const bool meta = IsServingMeta(name);
      if (!meta) types.emplace(name, all.DeclaredTypeOf(i));
      if (meta && !query.meta) continue;
      out.names.push_back(name);
      out.types.push_back(name == "_key" ? Type::kText : all.DeclaredTypeOf(i));
      columns +=
          (columns.empty() ? "" : ", ") + (name == "_key" ? "lower(hex(_key))" : Quoted(name));
    }
  }
  // The last 16 bytes of a `_key` are the window's start and end in order of time.
  const bool results = query.output == Output::kResults;
  constexpr char kStart[] = "substr(_key, length(_key) - 15, 8)";
  constexpr char kEnd[] = "substr(_key, length(_key) - 7)";
  std::string where;
  std::vector<Value> values;
  for (const auto& [column, text] : query.keys) {
    const auto type = types.find(column);
    if (type == types.end())
      return InvalidArgument("no column has this name column=" + column +
                             " pipeline=" + query.name);
    MILLRACE_ASSIGN(Value value, ParseKeyText(column, type->second, text));
    where += (where.empty() ? " WHERE " : " AND ") + Quoted(column) +
             (value.is_null() ? " IS NULL" : " = ?");
    if (!value.is_null()) values.push_back(std::move(value));
  }
  const size_t first_bound = values.size();
  for (const auto& [bound, op] : {std::pair(query.from, " >= ?"), std::pair(query.to, " < ?")}) {
    if (!bound) continue;
    where +=
        (where.empty() ? " WHERE " : " AND ") + std::string(results ? kStart : "event_time") + op;
    if (results) {
      std::string ordered;
      AppendOrdered(&ordered, *bound);
      values.push_back({Type::kText, std::move(ordered)});
    } else {
      values.push_back({Type::kTimestamp, *bound});
    }
  }
  const std::string order =
      results ? std::string(kEnd) + ", " + kStart + ", _key" : std::string("\"partition\", _seq");
  MILLRACE_ASSIGN(Statement read, reader->Prepare("SELECT " + columns + " FROM " + Quoted(view) +
                                                  where + " ORDER BY " + order));
  for (size_t i = 0; i < values.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    if (results && i >= first_bound) {
      read.BindBlob(at, std::get<std::string>(values[i].data));
    } else {
      read.BindValue(at, values[i]);
    }
  }
  for (;;) {
    MILLRACE_ASSIGN(const bool row_there, read.Step());
    if (!row_there) return out;
    if (out.rows.size() == kMaxQueryRows)
      return ResourceExhausted("a query gives more rows than fit: filter by key or time pipeline=" +
                               query.name + " limit=" + std::to_string(kMaxQueryRows));
    std::vector<Value>& row = out.rows.emplace_back();
    for (size_t i = 0; i < out.types.size(); ++i) {
      MILLRACE_ASSIGN(Value value, read.ReadValue(static_cast<int>(i), out.types[i]));
      row.push_back(std::move(value));
    }
  }
}

Result<std::unique_ptr<SqliteServingStore>> SqliteServingStore::Open(const std::string& path) {
  auto core = std::make_shared<Core>();
  MILLRACE_ASSIGN(core->writer, Connection::Open(path));
  MILLRACE_TRY(core->writer->Run(CreateOwnTables()));
  MILLRACE_ASSIGN(core->reader, Connection::Open(path));
  return std::unique_ptr<SqliteServingStore>(new SqliteServingStore(std::move(core)));
}

SqliteServingStore::SqliteServingStore(std::shared_ptr<Core> core) : core_(std::move(core)) {}
SqliteServingStore::~SqliteServingStore() = default;

Task<Status> SqliteServingStore::Define(Incarnation incarnation, StreamSpec stream,
                                        PipelineSpec pipeline) {
  auto work = Offload(
      [core = core_, incarnation, stream = std::move(stream), pipeline = std::move(pipeline)] {
        return core->Define(incarnation, stream, pipeline);
      });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Status> SqliteServingStore::DropViews(Incarnation incarnation) {
  auto work = Offload([core = core_, incarnation] { return core->DropViews(incarnation); });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Result<Fence>> SqliteServingStore::TakeOver(ShardId shard, Output output, Epoch epoch) {
  auto work = Offload(
      [core = core_, shard, output, epoch] { return core->TakeOver(shard, output, epoch); });
  auto fence = co_await std::move(work);
  co_return fence;
}

Task<Result<std::optional<Fence>>> SqliteServingStore::ReadFence(ShardId shard, Output output) {
  auto work = Offload([core = core_, shard, output] { return core->ReadFence(shard, output); });
  auto fence = co_await std::move(work);
  co_return fence;
}

Task<Status> SqliteServingStore::Apply(ServingBatch batch) {
  auto work = Offload([core = core_, batch = std::move(batch)] { return core->Apply(batch); });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Result<int64_t>> SqliteServingStore::DeleteRaw(Micros appended_before, int64_t max_rows) {
  auto work = Offload([core = core_, appended_before, max_rows] {
    return core->DeleteRaw(appended_before, max_rows);
  });
  auto deleted = co_await std::move(work);
  co_return deleted;
}

Task<Result<ServingTable>> SqliteServingStore::Query(ServingQuery query) {
  auto work = Offload([core = core_, query = std::move(query)] { return core->Query(query); });
  auto table = co_await std::move(work);
  co_return table;
}

}  // namespace millrace::serving_sqlite

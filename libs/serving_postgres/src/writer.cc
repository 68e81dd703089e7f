#include "writer.h"

#include <cstring>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "values.h"

namespace millrace::serving_postgres {
namespace {

constexpr Output kTables[] = {Output::kResults, Output::kLate, Output::kQuarantine};
/// A deadlock or a lock that was held: tries before the caller decides.
constexpr int kTries = 3;

Output TableOf(Output output) { return output == Output::kProvisional ? Output::kResults : output; }

/// No window of the view is longer. Local days are not all of one length.
Micros LongestWindow(const WindowSpec& window) {
  return window.size + (window.zone.empty() ? 0 : 2 * kDay);
}

TableSql Shaped(const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline, Output output) {
  return MakeTable(incarnation, output, ServingColumns(stream, pipeline, output),
                   output == Output::kResults ? IndexedKeys(pipeline) : std::vector<size_t>());
}

Array Numbers(const LastRows& rows) {
  Array numbers(kInt8);
  for (const Output output : kServedOutputs)
    numbers.AddInteger(rows[static_cast<size_t>(output)].seq);
  return numbers;
}

Array Hashes(const LastRows& rows) {
  Array hashes(kBytea);
  for (const Output output : kServedOutputs) {
    const Hash128& hash = rows[static_cast<size_t>(output)].hash;
    hashes.Add(std::string(reinterpret_cast<const char*>(&hash), sizeof hash));
  }
  return hashes;
}

/// Which of the tables is there, and whether each outlives a crash of the server. Gives how many.
Result<int> LastingTables(Connection& connection, const Incarnation& incarnation) {
  int found = 0;
  for (const Output output : kTables) {
    const TableSql table = MakeTable(incarnation, output, {}, {});
    Params params;
    params.Text(table.schema).Text(table.table);
    MILLRACE_ASSIGN(const Answer answer,
                    connection.Run("SELECT c.relpersistence::text, c.relkind::text FROM pg_class c "
                                   "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname "
                                   "= $1 AND c.relname = $2",
                                   params));
    if (answer.Rows() == 0) continue;
    ++found;
    if (answer.Bytes(0, 0) != "p" || (answer.Bytes(0, 1) != "r" && answer.Bytes(0, 1) != "p"))
      return InvalidArgument(
          "a serving table is unlogged, foreign or temporary, so a crash could "
          "take its rows: make it a logged table",
          {{"table", table.schema + "." + table.table}});
  }
  return found;
}

/// Before the first Mark nothing of ours is there.
Result<bool> HasOwnTables(Connection& connection) {
  MILLRACE_ASSIGN(const Answer answer,
                  connection.Run("SELECT 1 WHERE to_regclass('_millrace.fence') IS NOT NULL"));
  return answer.Rows() == 1;
}

Result<std::string> StandingMark(Connection& connection) {
  MILLRACE_ASSIGN(const Answer stands, connection.Run("SELECT mark FROM _millrace.cluster"));
  return std::string(stands.Rows() == 0 ? "" : stands.Bytes(0, 0));
}

Status FenceLasts(Connection& connection) {
  MILLRACE_ASSIGN(
      const Answer answer,
      connection.Run("SELECT relpersistence = 'p' AND relkind = 'r' FROM pg_class WHERE "
                     "oid = to_regclass('_millrace.fence')"));
  if (answer.Rows() == 0) return NotFound("the table of fences is not there yet");
  if (answer.Integer(0, 0) == 1) return {};
  return InvalidArgument(
      "the table of fences is unlogged or foreign, so a crash could take it back: "
      "make it a logged table",
      {{"table", "_millrace.fence"}});
}

/// The fence of (epoch, number[1..4], h[1..4]) in the row.
Result<Fence> FenceOf(const Answer& answer, int row) {
  Fence fence{Epoch(answer.Integer(row, 0))};
  int column = 1;
  for (const Output output : kServedOutputs) {
    LastRow& last = fence.last[static_cast<size_t>(output)];
    last.seq = answer.Integer(row, column++);
    const std::string_view hash = answer.Bytes(row, column++);
    if (hash.size() != sizeof last.hash)
      return Corruption("a fence holds a hash of another length");
    std::memcpy(&last.hash, hash.data(), hash.size());
  }
  return fence;
}

constexpr const char* kFenceColumns =
    "epoch, number[1], h[1], number[2], h[2], number[3], h[3], number[4], h[4]";

Params OfShard(const ShardId& shard) {
  Params params;
  params.Text(shard.incarnation.ToString()).Integer(shard.partition.value);
  return params;
}

/// Of two processes that believe they lead, IF NOT EXISTS lets one fail. The lock is the
/// transaction's, so a pooler may give the session away behind it.
Status MakeOwnTables(Connection& connection) {
  MILLRACE_TRY(connection.Run("SELECT pg_advisory_xact_lock(7885083119)::text"));
  for (const std::string& sql : CreateOwnTables()) MILLRACE_TRY(connection.Run(sql));
  return {};
}

}  // namespace

Result<std::string> Writer::ReadMark(Connection& connection) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(const bool ours, HasOwnTables(connection));
  if (!ours) return std::string();
  return StandingMark(connection);
}

Result<std::string> Writer::Mark(Connection& connection, const std::string& mark, bool replace) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_TRY(MakeOwnTables(connection));
  Params params;
  params.Text(mark);
  const std::string on_conflict = replace ? "UPDATE SET mark = excluded.mark" : "NOTHING";
  MILLRACE_TRY(connection.Run(
      "INSERT INTO _millrace.cluster VALUES (1, $1) ON CONFLICT (one) DO " + on_conflict, params));
  MILLRACE_ASSIGN(std::string found, StandingMark(connection));
  MILLRACE_TRY(transaction.Commit());
  return found;
}

Status Writer::Define(Connection& connection, const Incarnation& incarnation,
                      const StreamSpec& stream, const PipelineSpec& pipeline) {
  MILLRACE_TRY(CheckServingTables(stream, pipeline));
  for (const Output output : kTables)
    MILLRACE_TRY(CheckTable(Shaped(incarnation, stream, pipeline, output)));
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_TRY(MakeOwnTables(connection));
  for (const Output output : kTables) {
    const TableSql table = Shaped(incarnation, stream, pipeline, output);
    for (const std::string& sql : CreateTable(table)) MILLRACE_TRY(connection.Run(sql));
    MILLRACE_TRY(ShowInView(connection, incarnation, table, LongestWindow(pipeline.window)));
  }
  return transaction.Commit();
}

Status Writer::ShowInView(Connection& connection, const Incarnation& incarnation,
                          const TableSql& table, Micros longest_window) {
  Params view;
  view.Text(table.schema).Text(table.view);
  MILLRACE_ASSIGN(const Answer owner,
                  connection.Run("SELECT name, defined_at FROM _millrace.view WHERE namespace = $1 "
                                 "AND view = $2",
                                 view));
  if (owner.Rows() > 0) {
    if (owner.Bytes(0, 0) != incarnation.name)
      return Conflict("another pipeline has a view of this name: choose another name",
                      {{"view", table.view}, {"pipeline", std::string(owner.Bytes(0, 0))}});
    if (owner.Integer(0, 1) >= incarnation.defined_at.value) return {};
    MILLRACE_TRY(
        connection.Run("DROP VIEW IF EXISTS " + Quoted(table.schema) + "." + Quoted(table.view)));
  }
  MILLRACE_TRY(connection.Run(CreateView(table)));
  Array columns(kText), types(kInt4);
  for (const ServingColumn& c : table.columns) {
    columns.Add(c.name);
    types.AddInteger(static_cast<int64_t>(c.type));
  }
  Params row;
  row.Text(table.schema).Text(table.view).Text(incarnation.name);
  row.Integer(incarnation.defined_at.value).Integer(longest_window);
  row.Elements(columns).Elements(types);
  MILLRACE_TRY(connection.Run(
      "INSERT INTO _millrace.view VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (namespace, "
      "view) DO UPDATE SET defined_at = excluded.defined_at, longest_window = "
      "excluded.longest_window, columns = excluded.columns, types = excluded.types",
      row));
  return {};
}

Status Writer::DropViews(Connection& connection, const Incarnation& incarnation) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(const bool any, HasOwnTables(connection));
  if (!any) return {};
  Params params;
  params.Text(incarnation.name_space).Text(incarnation.name).Integer(incarnation.defined_at.value);
  MILLRACE_ASSIGN(const Answer shown,
                  connection.Run("DELETE FROM _millrace.view WHERE namespace = $1 AND name = $2 "
                                 "AND defined_at = $3 RETURNING view",
                                 params));
  for (int i = 0; i < shown.Rows(); ++i)
    MILLRACE_TRY(connection.Run("DROP VIEW IF EXISTS " + Quoted(incarnation.name_space) + "." +
                                Quoted(shown.Bytes(i, 0))));
  return transaction.Commit();
}

Result<std::vector<Incarnation>> Writer::ListViews(Connection& connection) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  std::vector<Incarnation> incarnations;
  MILLRACE_ASSIGN(const bool any, HasOwnTables(connection));
  if (!any) return incarnations;
  MILLRACE_ASSIGN(const Answer shown,
                  connection.Run("SELECT DISTINCT namespace, name COLLATE \"C\", defined_at FROM "
                                 "_millrace.view ORDER BY 1, 2, 3"));
  for (int i = 0; i < shown.Rows(); ++i)
    incarnations.push_back({std::string(shown.Bytes(i, 0)), std::string(shown.Bytes(i, 1)),
                            Offset(shown.Integer(i, 2))});
  MILLRACE_TRY(transaction.Commit());
  return incarnations;
}

Status Writer::Attach(Connection& connection, const Incarnation& incarnation,
                      const StreamSpec& stream, const PipelineSpec& pipeline) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(const int found, LastingTables(connection, incarnation));
  MILLRACE_TRY(transaction.Commit());
  if (found != static_cast<int>(std::size(kTables)))
    return NotFound("the tables are not there yet", {{"incarnation", incarnation.ToString()}});
  auto attached = std::make_shared<Attached>();
  attached->pipeline = pipeline;
  for (const Output output : kTables)
    attached->tables[output] = Shaped(incarnation, stream, pipeline, output);
  std::lock_guard lock(mutex_);
  attached_[incarnation] = std::move(attached);
  return {};
}

Result<Fence> Writer::TakeOver(Connection& connection, const ShardId& shard, Epoch epoch) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_TRY(FenceLasts(connection));
  MILLRACE_TRY(LastingTables(connection, shard.incarnation));
  Params take = OfShard(shard);
  take.Integer(epoch.value).Elements(Numbers({})).Elements(Hashes({}));
  const auto taken = connection.Run(
      "INSERT INTO _millrace.fence AS f VALUES ($1, $2, $3, $4, $5, pg_backend_pid()) ON CONFLICT "
      "(incarnation, partition) DO UPDATE SET epoch = excluded.epoch WHERE f.epoch < "
      "excluded.epoch",
      take);
  if (!taken.ok()) {
    if (connection.last_state() != "55P03") return taken.error();
    // A former owner holds the row: its process may hang, and its transaction with it.
    connection.Rollback();
    MILLRACE_TRY(connection.Begin());
    MILLRACE_TRY(connection.Run(
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN _millrace.fence f ON "
        "a.pid = f.backend WHERE f.incarnation = $1 AND f.partition = $2 AND a.datname = "
        "current_database() AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()",
        OfShard(shard)));
    MILLRACE_TRY(transaction.Commit());
    return Unavailable("the former owner's transaction held the fence and was ended: try again",
                       {{"shard", shard.ToString()}});
  }
  MILLRACE_ASSIGN(const Answer answer,
                  connection.Run(std::string("SELECT ") + kFenceColumns +
                                     " FROM _millrace.fence WHERE incarnation = $1 AND partition "
                                     "= $2",
                                 OfShard(shard)));
  if (answer.Rows() != 1) return Unavailable("a fence went away", {{"shard", shard.ToString()}});
  MILLRACE_ASSIGN(const Fence fence, FenceOf(answer, 0));
  MILLRACE_TRY(transaction.Commit());
  if (fence.epoch > epoch)
    return Fenced(
        "a newer owner writes this shard",
        {{"shard", shard.ToString()}, {"epoch", epoch.value}, {"newer", fence.epoch.value}});
  return fence;
}

Result<std::vector<std::optional<Fence>>> Writer::ReadFences(Connection& connection,
                                                             const std::vector<ShardId>& shards) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  std::vector<std::optional<Fence>> fences;
  MILLRACE_ASSIGN(const bool any, HasOwnTables(connection));
  if (!any) fences.resize(shards.size());
  for (size_t i = 0; any && i < shards.size(); ++i) {
    const ShardId& shard = shards[i];
    MILLRACE_ASSIGN(const Answer answer,
                    connection.Run(std::string("SELECT ") + kFenceColumns +
                                       " FROM _millrace.fence WHERE incarnation = $1 AND "
                                       "partition = $2",
                                   OfShard(shard)));
    fences.emplace_back();
    if (answer.Rows() == 0) continue;
    MILLRACE_ASSIGN(fences.back(), FenceOf(answer, 0));
  }
  MILLRACE_TRY(transaction.Commit());
  return fences;
}

Status Writer::Apply(Connection& connection, const ServingBatch& batch) {
  MILLRACE_TRY(CheckServingBatch(batch));
  std::shared_ptr<const Attached> incarnation;
  {
    std::lock_guard lock(mutex_);
    const auto found = attached_.find(batch.shard.incarnation);
    if (found != attached_.end()) incarnation = found->second;
  }
  if (!incarnation)
    return NotFound("the incarnation is not attached here",
                    {{"incarnation", batch.shard.incarnation.ToString()}});
  for (int tries = 1;; ++tries) {
    const Status applied = TryApply(connection, batch, *incarnation);
    if (applied.ok()) return applied;
    if (applied.error().code == Code::kInvalidArgument)
      return NameRow(connection, batch, *incarnation, applied.error());
    const std::string& state = connection.last_state();
    const bool again = state == "40001" || state == "40P01" || state == "55P03";
    if (!again || tries == kTries) return applied;
  }
}

Status Writer::TryApply(Connection& connection, const ServingBatch& batch,
                        const Attached& incarnation) {
  CrashPoint("serving.apply.begin");
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  Params move = OfShard(batch.shard);
  move.Integer(batch.epoch.value).Elements(Numbers(batch.from)).Elements(Hashes(batch.from));
  move.Elements(Numbers(batch.to)).Elements(Hashes(batch.to));
  MILLRACE_ASSIGN(const Answer moved,
                  connection.Run("UPDATE _millrace.fence SET number = $6, h = $7, backend = "
                                 "pg_backend_pid() WHERE incarnation = $1 AND partition = $2 AND "
                                 "epoch = $3 AND number = $4 AND h = $5",
                                 move));
  if (moved.Tag() != "UPDATE 1")
    return Conflict("the fence is not where the batch begins: read it",
                    {{"shard", batch.shard.ToString()}, {"epoch", batch.epoch.value}});
  MILLRACE_TRY(WriteRows(connection, batch, incarnation));
  CrashPoint("serving.apply.before_commit");
  MILLRACE_TRY(transaction.Commit());
  CrashPoint("serving.apply.committed");
  return {};
}

Status Writer::WriteRows(Connection& connection, const ServingBatch& batch,
                         const Attached& incarnation) {
  // One statement may touch a row of a table only once, so of each key the row that stands at the
  // end. Sorted, so that two writers take the rows' locks in one order.
  std::map<Output, Rows> tables;
  const auto version = [](const OutputRow& r) { return std::pair(r.revision > 0, r.seq); };
  for (const OutputRow& row : batch.rows) {
    const Output output = TableOf(row.output);
    std::string key;
    if (output == Output::kResults) {
      key = ServingKey(row);
    } else {
      AppendOrdered(&key, row.seq);
    }
    const OutputRow*& stands = tables[output][key];
    if (stands == nullptr || version(*stands) < version(row)) stands = &row;
  }
  for (const auto& [output, rows] : tables)
    MILLRACE_TRY(WriteTable(connection, batch.shard, incarnation.pipeline,
                            incarnation.tables.at(output), rows));
  return {};
}

Status Writer::WriteTable(Connection& connection, const ShardId& shard,
                          const PipelineSpec& pipeline, const TableSql& table, const Rows& rows) {
  std::vector<Array> arrays;
  for (const ServingColumn& c : table.columns)
    arrays.push_back(c.name == "_key" ? Array(kBytea) : Array(c.type));
  Array deleted(Type::kBool);
  for (const auto& [key, row] : rows) {
    const std::vector<Value> cells = ServingCells(pipeline, shard, *row);
    if (cells.size() != table.columns.size())
      return Internal("a row has other columns than its table",
                      {{"shard", shard.ToString()},
                       {"output", OutputName(row->output)},
                       {"cells", cells.size()},
                       {"columns", table.columns.size()}});
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].is_null()) {
        arrays[i].Add(std::nullopt);
      } else if (table.columns[i].name == "_key") {
        arrays[i].Add(std::get<std::string>(cells[i].data));
      } else {
        arrays[i].Add(EncodeCell(cells[i]));
      }
    }
    deleted.Add(EncodeCell({Type::kBool, int64_t{row->deleted}}));
  }
  if (table.output == Output::kResults) arrays.push_back(std::move(deleted));
  Params params;
  for (const Array& array : arrays) params.Elements(array);
  MILLRACE_TRY(connection.Run(Upsert(table), params));
  return {};
}

Error Writer::NameRow(Connection& connection, const ServingBatch& batch,
                      const Attached& incarnation, Error refused) {
  for (const OutputRow& row : batch.rows) {
    // Each in a transaction that is given up: this only looks for the row.
    Transaction transaction(&connection);
    if (!transaction.Begin().ok()) break;
    const Output output = TableOf(row.output);
    const Status written = WriteTable(connection, batch.shard, incarnation.pipeline,
                                      incarnation.tables.at(output), {{"", &row}});
    if (written.ok()) continue;
    if (written.error().code != Code::kInvalidArgument) break;
    return RefusedRow(batch.shard, row, written.error().message);
  }
  // No row is at fault, so it may pass.
  return Unavailable(refused.message);
}

Result<int64_t> Writer::DeleteRaw(Connection& connection, Micros appended_before,
                                  int64_t max_rows) {
  // A row never comes without a move of its fence, so the fences name every shard that has rows,
  // also those of incarnations that were dropped long ago.
  std::vector<std::pair<ShardId, Output>> written;
  {
    Transaction transaction(&connection);
    MILLRACE_TRY(transaction.Begin());
    MILLRACE_ASSIGN(const bool any, HasOwnTables(connection));
    if (!any) return 0;
    MILLRACE_ASSIGN(const Answer fences,
                    connection.Run("SELECT incarnation || '/p' || partition, number[3], number[4] "
                                   "FROM _millrace.fence ORDER BY incarnation, partition"));
    MILLRACE_TRY(transaction.Commit());
    for (int i = 0; i < fences.Rows(); ++i) {
      ShardId shard;
      if (!ShardId::Parse(fences.Bytes(i, 0), &shard))
        return Corruption("a fence is of no shard", {{"shard", std::string(fences.Bytes(i, 0))}});
      if (fences.Integer(i, 1) > 0) written.emplace_back(shard, Output::kLate);
      if (fences.Integer(i, 2) > 0) written.emplace_back(shard, Output::kQuarantine);
    }
  }
  int64_t deleted = 0;
  for (const auto& [shard, output] : written) {
    if (deleted == max_rows) break;
    Transaction transaction(&connection);
    MILLRACE_TRY(transaction.Begin());
    const TableSql table = MakeTable(shard.incarnation, output, {}, {});
    Params name;
    name.Text(table.Name());
    MILLRACE_ASSIGN(const Answer there,
                    connection.Run("SELECT 1 WHERE to_regclass($1) IS NOT NULL", name));
    if (there.Rows() == 0) continue;
    // The first rows by number only: times of a shard's rows rise but for moments, so those to
    // delete are among them.
    Params params;
    params.Integer(shard.partition.value).Integer(max_rows - deleted);
    params.Cell(WithinRange(appended_before));
    MILLRACE_ASSIGN(
        const Answer removed,
        connection.Run("DELETE FROM " + table.Name() +
                           " WHERE \"partition\" = $1 AND _seq IN (SELECT _seq FROM (SELECT _seq, "
                           "_updated_at FROM " +
                           table.Name() +
                           " WHERE \"partition\" = $1 ORDER BY _seq LIMIT $2) AS first WHERE "
                           "_updated_at < $3)",
                       params));
    MILLRACE_TRY(transaction.Commit());
    deleted += removed.Touched();
  }
  return deleted;
}

}  // namespace millrace::serving_postgres

#include "millrace/runtime/store_marks.h"

#include "millrace/base/facts.h"
#include "millrace/base/log.h"

namespace millrace::runtime {
namespace {

/// What a view keeps lies in NAMESPACE/state/ or NAMESPACE/results/, so none of it has this key.
constexpr const char* kMarkKey = "_millrace/cluster";

/// The mark that stands in the object store; empty: there is none.
Task<Result<std::string>> ReadObjectMark(ObjectStore* objects) {
  const auto found = co_await objects->Get(kMarkKey);
  if (found.ok()) co_return std::string(found->bytes);
  if (found.error().code == Code::kNotFound) co_return std::string();
  co_return found.error();
}

/// A store of objects cannot set a mark only where none is. Of two new clusters that begin at the
/// same moment both may see their own here; the one whose mark was replaced is refused when it next
/// begins to lead.
Task<Result<std::string>> MarkObjects(ObjectStore* objects, std::string mine) {
  MILLRACE_CO_TRY(co_await objects->Put(kMarkKey, Buffer::Own(std::move(mine))));
  auto found = co_await ReadObjectMark(objects);
  co_return found;
}

Status Compare(std::string_view store, const std::string& found, const std::string& mine) {
  if (found == mine) return {};
  return InvalidArgument(
      "the " + std::string(store) +
          " belongs to another cluster, or to this one on another log: configure its own stores, "
          "or start once with --adopt if it was restored or moved and nobody else uses it",
      {{"has", found}, {"wanted", mine}});
}

/// What stands in the stores; an empty mark: there is none.
struct Marks {
  std::string tables;
  std::string objects;
};

Task<Result<Marks>> ReadMarks(Ports ports) {
  Marks found;
  MILLRACE_CO_ASSIGN(found.tables, co_await ports.tables->ReadMark());
  MILLRACE_CO_ASSIGN(found.objects, co_await ReadObjectMark(ports.objects));
  co_return found;
}

Status CompareStanding(const Marks& found, const std::string& mine) {
  if (!found.tables.empty()) MILLRACE_TRY(Compare("serving store", found.tables, mine));
  if (!found.objects.empty()) MILLRACE_TRY(Compare("object store", found.objects, mine));
  return {};
}

Task<Result<std::string>> MarkOf(EventLog* log, std::string cluster) {
  MILLRACE_CO_ASSIGN(const std::string identity, co_await log->Identity());
  co_return "cluster=" + cluster + " log=" + identity;
}

}  // namespace

Task<Status> OwnStores(Ports ports, std::string cluster, bool adopt) {
  MILLRACE_CO_ASSIGN(const std::string mine, co_await MarkOf(ports.log, std::move(cluster)));
  MILLRACE_CO_ASSIGN(const Marks found, co_await ReadMarks(ports));
  // Both before the first write: a process that is refused leaves no mark in the other store.
  if (!adopt) MILLRACE_CO_TRY(CompareStanding(found, mine));
  if (found.tables != mine) {
    MILLRACE_CO_ASSIGN(const std::string tables, co_await ports.tables->Mark(mine, adopt));
    MILLRACE_CO_TRY(Compare("serving store", tables, mine));
  }
  if (found.objects != mine) {
    MILLRACE_CO_ASSIGN(const std::string objects, co_await MarkObjects(ports.objects, mine));
    MILLRACE_CO_TRY(Compare("object store", objects, mine));
  }
  if (adopt) LogWarn("the stores belong to this cluster from now on", {{"mark", mine}});
  co_return Status();
}

Task<Status> CheckMarks(Ports ports, std::string cluster) {
  if (cluster.empty()) co_return Status();
  MILLRACE_CO_ASSIGN(const std::string mine, co_await MarkOf(ports.log, std::move(cluster)));
  MILLRACE_CO_ASSIGN(const Marks found, co_await ReadMarks(ports));
  co_return CompareStanding(found, mine);
}

Task<Status> ProbeStores(Ports ports) {
  // All of them: a server that is away hides no mistake in the configuration of another.
  const Status log = co_await ports.log->Probe();
  const Status objects = co_await ports.objects->Probe();
  const Status tables = co_await ports.tables->Probe();
  for (const Status* asked : {&log, &objects, &tables})
    if (!asked->ok() && asked->error().code == Code::kInvalidArgument) co_return *asked;
  for (const Status* asked : {&log, &objects, &tables})
    if (!asked->ok()) co_return *asked;
  co_return Status();
}

}  // namespace millrace::runtime

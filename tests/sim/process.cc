#include "sim/process.h"

#include <stdexcept>

namespace millrace::sim {

Task<Result<Buffer>> RowFiles::Encode(const std::vector<OutputColumn>&,
                                      std::shared_ptr<FileRows> rows) {
  ++encoded;
  std::string bytes;
  for (;;) {
    MILLRACE_CO_ASSIGN(const std::vector<OutputRow> part, rows->Next(3));
    if (part.empty()) break;
    for (const OutputRow& row : part) EncodeRow(row, &bytes);
  }
  co_return Buffer::Own(std::move(bytes));
}

std::unique_ptr<RecordParser> CountedParsers::ForStream(const StreamSpec& stream) const {
  struct Counted : RecordParser {
    Counted(std::unique_ptr<RecordParser> p, std::shared_ptr<bool> t)
        : parser(std::move(p)), token(std::move(t)) {}
    Verdict Parse(std::string_view payload, BatchBuilder* out) override {
      return parser->Parse(payload, out);
    }
    std::unique_ptr<RecordParser> parser;
    std::shared_ptr<bool> token;
  };
  return std::make_unique<Counted>(parsers_.ForStream(stream), token_);
}

Task<Result<std::unique_ptr<StateStore>>> NamedStates::Open(std::string shard) {
  names_.insert(shard);
  return states_.Open(std::move(shard));
}

Task<Status> NamedStates::Remove(std::string shard) {
  names_.erase(shard);
  return states_.Remove(std::move(shard));
}

Process::Process(SimWorld* world, Bodies* bodies, Links* links, Setup setup)
    : setup_(std::move(setup)),
      bodies_(bodies),
      links_(links),
      control_(world->NewProcess()),
      gateway_({&links->log, &blocks_, &gateway_records_, &bodies->metrics}) {
  for (size_t i = 0; i < setup_.executors; ++i) shards_.push_back(world->NewExecutor(control_));
  if (shards_.empty()) shards_.push_back(control_);
  if (setup_.role == Role::kAll) {
    StartRoles();
  } else {
    reader_ = std::make_unique<control::ControlLog>(&links_->log);
    control_->Spawn(RunGateway());
  }
}

Process::~Process() {
  std::vector<SimExecutor*> executors = shards_;
  if (shards_.front() != control_) executors.push_back(control_);
  for (const SimExecutor* e : executors)
    for (const std::string& f : e->failures()) bodies_->failures.push_back(setup_.name + ": " + f);
  control_->Kill();
}

void Process::StartRoles() {
  runtime::AllRoles::Wiring wiring;
  wiring.name = setup_.name;
  wiring.ports = {&links_->log,      &links_->objects,  &states_,        &links_->serving,
                  &links_->serving,  &bodies_->serving, &bodies_->files, &blocks_,
                  &bodies_->parsers, &bodies_->metrics};
  wiring.options = setup_.options;
  wiring.control = control_;
  wiring.shards = {shards_.begin(), shards_.end()};
  wiring.on_stream = [this](const StreamSpec& stream) { gateway_.SetStream(stream); };
  wiring.on_stream_dropped = [this](StreamSpec stream) -> Task<> {
    gateway_.RemoveStream(stream);
    co_return;
  };
  roles_ = std::make_unique<runtime::AllRoles>(std::move(wiring));
  control_->Spawn(RunRoles());
}

Task<> Process::RunRoles() {
  for (;;) {
    const Status started = co_await roles_->Start();
    if (started.ok()) break;
    // Another one claimed the leadership first: it waits for its turn again.
    if (started.error().code != Code::kUnavailable && started.error().code != Code::kConflict)
      throw std::runtime_error(started.error().message);
    co_await Delay(std::chrono::milliseconds(100));
  }
  started_ = true;
}

/// Folds the control log for the streams in it.
Task<> Process::RunGateway() {
  for (;;) {
    const Status folded = co_await reader_->Start();
    if (folded.ok()) break;
    co_await Delay(std::chrono::milliseconds(100));
  }
  Executor::Current().Spawn(reader_->Follow());
  started_ = true;
  int64_t seen = -1;
  for (;;) {
    if (reader_->ownership_changes() == std::exchange(seen, reader_->ownership_changes())) {
      co_await reader_->changed().Wait();
      continue;
    }
    const auto& streams = reader_->fold().streams();
    for (const StreamSpec& known : gateway_.Streams()) {
      const auto at = streams.find({known.name_space, known.name});
      if (at == streams.end() || at->second.generation != known.generation)
        gateway_.RemoveStream(known);
    }
    for (const auto& [name, stream] : streams) gateway_.SetStream(stream);
  }
}

}  // namespace millrace::sim

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
      world_(world),
      bodies_(bodies),
      links_(links),
      control_(world->NewProcess()),
      gateway_({&links->log, &blocks_, &gateway_records_, &bodies->metrics}) {
  for (size_t i = 0; i < setup_.executors; ++i) shards_.push_back(world->NewExecutor(control_));
  if (shards_.empty()) shards_.push_back(control_);
  for (const auto& find : setup_.coordinators)
    worker_links_.push_back(std::make_unique<SimLink>(control_, &links->log.link().network(),
                                                      &links->log.link().faults(), find));
  if (setup_.role == Role::kAll) StartRoles();
  if (setup_.role == Role::kCoordinator) StartCoordinator();
  if (setup_.role == Role::kWorker) StartWorker();
  if (setup_.role == Role::kGateway) {
    log_ = std::make_unique<control::ControlReader>(&links_->log);
    FollowStreams(log_.get());
    control_->Spawn(RunGateway());
  }
}

Process::~Process() {
  std::vector<SimExecutor*> executors = shards_;
  if (shards_.front() != control_) executors.push_back(control_);
  for (const SimExecutor* e : executors)
    for (const std::string& f : e->failures()) bodies_->failures.push_back(setup_.name + ": " + f);
  for (const auto& link : worker_links_) link->Reset();
  control_->Kill();
}

bool Process::leads() const {
  return roles_ ? roles_->coordinator().leads() : coordinator_ && coordinator_->leads();
}

Task<> Process::Drain() {
  if (roles_) co_await roles_->Drain();
  if (worker_) co_await worker_->Drain();
  if (coordinator_) {
    coordinator_->Stop();
    co_await coordinator_->Leave();
  }
  throw SimCrash{"drained"};
}

SimExecutor* Process::AnyExecutor() {
  const size_t i = world_->Random(shards_.size() + 1);
  return i == shards_.size() ? control_ : shards_[i];
}

runtime::Ports Process::AllPorts() {
  return {&links_->log,      &links_->objects, &states_, &links_->serving,  &links_->serving,
          &bodies_->serving, &bodies_->files,  &blocks_, &bodies_->parsers, &bodies_->metrics};
}

std::vector<runtime::WorkerLink*> Process::Coordinators() {
  std::vector<runtime::WorkerLink*> links;
  for (const auto& link : worker_links_) links.push_back(link.get());
  return links;
}

void Process::StartRoles() {
  runtime::AllRoles::Wiring wiring;
  wiring.name = setup_.name;
  wiring.ports = AllPorts();
  wiring.coordinators = Coordinators();
  wiring.options = setup_.options;
  wiring.control = control_;
  wiring.shards = {shards_.begin(), shards_.end()};
  wiring.stop_appending = [this] { return streams_->Settle(); };
  roles_ = std::make_unique<runtime::AllRoles>(std::move(wiring));
  FollowStreams(&roles_->control());
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

Task<> Process::FollowControlLog() {
  for (;;) {
    const Status folded = co_await log_->Start();
    if (folded.ok()) break;
    co_await Delay(std::chrono::milliseconds(100));
  }
  Executor::Current().Spawn(log_->Follow());
}

void Process::StartCoordinator() {
  log_ = std::make_unique<control::ControlReader>(&links_->log);
  log_writer_ = std::make_unique<control::ControlWriter>(&links_->log, log_.get());
  runtime::Coordinator::Wiring wiring;
  wiring.self = {setup_.name, control_->Random()};
  wiring.ports = AllPorts();
  wiring.options = setup_.options;
  wiring.stop_lost = []() -> Task<> { co_return; };
  coordinator_ =
      std::make_unique<runtime::Coordinator>(std::move(wiring), log_.get(), log_writer_.get());
  control_->Spawn(RunCoordinator());
}

Task<> Process::RunCoordinator() {
  co_await FollowControlLog();
  for (;;) {
    const Status started = co_await coordinator_->Start();
    if (started.ok()) break;
    co_await Delay(std::chrono::milliseconds(100));
  }
  started_ = true;
}

void Process::StartWorker() {
  log_ = std::make_unique<control::ControlReader>(&links_->log);
  log_writer_ = std::make_unique<control::ControlWriter>(&links_->log, log_.get());
  runtime::Worker::Wiring wiring;
  wiring.self = {setup_.name, control_->Random()};
  wiring.ports = AllPorts();
  wiring.options = setup_.options;
  wiring.control = control_;
  wiring.shards = {shards_.begin(), shards_.end()};
  wiring.coordinators = Coordinators();
  worker_ = std::make_unique<runtime::Worker>(std::move(wiring), log_.get(), log_writer_.get());
  control_->Spawn(RunWorker());
}

Task<> Process::RunWorker() {
  co_await FollowControlLog();
  worker_->Start();
  started_ = true;
}

Task<> Process::RunGateway() {
  co_await FollowControlLog();
  started_ = true;
}

/// The gateway knows the streams of the control log.
void Process::FollowStreams(control::ControlReader* reader) {
  streams_.emplace(control_, reader, control_, &gateway_);
  gateway_.LookIn(&*streams_);
  control_->Spawn(streams_->Follow());
}

}  // namespace millrace::sim

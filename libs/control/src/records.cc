#include "millrace/control/records.h"

#include "millrace/base/facts.h"
#include "millrace/control/v1/control.pb.h"
#include "millrace/sql/plan_codec.h"

namespace millrace::control {
namespace {

void Put(const ShardId& shard, v1::Shard* out) {
  out->set_namespace_(shard.incarnation.name_space);
  out->set_pipeline(shard.incarnation.name);
  out->set_defined_at(shard.incarnation.defined_at.value);
  out->set_partition(shard.partition.value);
}

ShardId Get(const v1::Shard& in) {
  return {{in.namespace_(), in.pipeline(), Offset(in.defined_at())}, PartitionId(in.partition())};
}

void Put(const Hash128& hash, v1::Hash128* out) {
  out->set_lo(hash.lo);
  out->set_hi(hash.hi);
}

Hash128 Get(const v1::Hash128& in) { return {in.lo(), in.hi()}; }

void Put(const Process& process, v1::Process* out) {
  out->set_name(process.name);
  out->set_instance(process.instance);
}

Process Get(const v1::Process& in) { return {in.name(), in.instance()}; }

void Put(const Stamp& stamp, v1::Stamp* out) {
  out->set_n(stamp.n);
  out->set_k(stamp.k);
}

Stamp Get(const v1::Stamp& in) { return {in.n(), in.k()}; }

void Put(const Claim& r, v1::Record* out) {
  auto* m = out->mutable_claim();
  m->set_n(r.n);
  m->set_cluster(r.cluster);
  Put(r.process, m->mutable_process());
}

void Put(const Beat& r, v1::Record* out) {
  auto* m = out->mutable_beat();
  Put(r.by, m->mutable_by());
  m->set_lease_us(r.lease);
}

void Put(const DefineStream& r, v1::Record* out) {
  auto* m = out->mutable_define_stream();
  Put(r.by, m->mutable_by());
  m->set_spec(EncodeStream(r.spec));
}

void Put(const Define& r, v1::Record* out) {
  auto* m = out->mutable_define();
  Put(r.by, m->mutable_by());
  m->set_spec(EncodePipeline(r.spec));
  for (const Offset o : r.start_offsets) m->add_start_offsets(o.value);
  m->set_stream_generation(r.stream_generation.value);
}

void Put(const Drop& r, v1::Record* out) {
  auto* m = out->mutable_drop();
  Put(r.by, m->mutable_by());
  m->set_namespace_(r.incarnation.name_space);
  m->set_pipeline(r.incarnation.name);
  m->set_defined_at(r.incarnation.defined_at.value);
}

void Put(const DropStream& r, v1::Record* out) {
  auto* m = out->mutable_drop_stream();
  Put(r.by, m->mutable_by());
  m->set_namespace_(r.name_space);
  m->set_name(r.name);
  m->set_generation(r.generation.value);
  m->set_topic_id(r.topic_id);
}

void Put(const Assign& r, v1::Record* out) {
  auto* m = out->mutable_assign();
  Put(r.by, m->mutable_by());
  Put(r.shard, m->mutable_shard());
  Put(r.worker, m->mutable_worker());
  m->set_epoch(r.epoch.value);
}

void Put(const Skip& r, v1::Record* out) {
  auto* m = out->mutable_skip();
  Put(r.by, m->mutable_by());
  Put(r.shard, m->mutable_shard());
  Put(r.worker, m->mutable_worker());
  m->set_epoch(r.epoch.value);
  m->set_to(r.to.value);
  m->set_reason(r.reason);
}

void Put(const Halt& r, v1::Record* out) {
  auto* m = out->mutable_halt();
  Put(r.shard, m->mutable_shard());
  m->set_epoch(r.epoch.value);
  m->set_from(r.from.value);
  m->set_lowest(r.lowest.value);
  for (const int64_t seq : r.first_seqs) m->add_first_seqs(seq);
  if (r.before) {
    m->mutable_before()->set_offset(r.before->offset.value);
    m->mutable_before()->set_hash(r.before->hash);
  }
  m->set_message(r.message);
  m->set_pinned(r.pinned);
  m->set_base(r.base.value);
}

void Put(const Incarnation& what, v1::Defined* out) {
  out->set_namespace_(what.name_space);
  out->set_name(what.name);
  out->set_defined_at(what.defined_at.value);
}

Incarnation Get(const v1::Defined& in) {
  return {in.namespace_(), in.name(), Offset(in.defined_at())};
}

void Put(const Set& r, v1::Record* out) {
  auto* m = out->mutable_set();
  Put(r.by, m->mutable_by());
  Put(r.what, m->mutable_what());
  m->set_key(r.key);
  m->set_value(r.value);
}

void Put(const Trim& r, v1::Record* out) {
  auto* m = out->mutable_trim();
  Put(r.by, m->mutable_by());
  Put(r.stream, m->mutable_stream());
  for (const Offset o : r.to) m->add_to(o.value);
}

void Put(const Commit& r, v1::Record* out) {
  auto* m = out->mutable_commit();
  Put(r.shard, m->mutable_shard());
  m->set_epoch(r.epoch.value);
  m->set_cut(r.cut.value);
  m->set_next_offset(r.next_offset.value);
  m->set_manifest(r.manifest);
  Put(r.manifest_hash, m->mutable_manifest_hash());
  Put(r.state_hash, m->mutable_state_hash());
}

void Put(const Snapshot& r, v1::Record* out) {
  auto* m = out->mutable_snapshot();
  Put(r.by, m->mutable_by());
  m->set_at(r.at.value);
  Put(r.hash, m->mutable_hash());
  m->set_chunk(r.chunk);
  m->set_chunks(r.chunks);
  m->set_state(r.state);
}

Result<Record> Get(const v1::Define& m) {
  MILLRACE_ASSIGN(PipelineSpec spec, DecodePipeline(m.spec()));
  Define r{Get(m.by()), std::move(spec), {}, Offset(m.stream_generation())};
  for (const int64_t o : m.start_offsets()) r.start_offsets.emplace_back(o);
  return Record(std::move(r));
}

Result<Record> Get(const v1::Halt& m) {
  Halt r;
  r.shard = Get(m.shard());
  r.epoch = Epoch(m.epoch());
  r.from = Offset(m.from());
  r.lowest = Offset(m.lowest());
  r.first_seqs = {m.first_seqs().begin(), m.first_seqs().end()};
  if (m.has_before()) r.before = {Offset(m.before().offset()), m.before().hash()};
  r.message = m.message();
  r.pinned = m.pinned();
  r.base = CutNumber(m.base());
  return Record(std::move(r));
}

Result<Record> Get(const v1::DefineStream& m) {
  MILLRACE_ASSIGN(StreamSpec spec, DecodeStream(m.spec()));
  return Record(DefineStream{Get(m.by()), std::move(spec)});
}

}  // namespace

Stamp* StampOf(Record* record) {
  return std::visit(
      [](auto& r) -> Stamp* {
        if constexpr (requires { r.by; }) {
          return &r.by;
        } else {
          return nullptr;
        }
      },
      *record);
}

std::string Encode(const Record& record) {
  v1::Record out;
  std::visit([&](const auto& r) { Put(r, &out); }, record);
  return out.SerializeAsString();
}

Result<Record> Decode(std::string_view value) {
  v1::Record in;
  if (!in.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Corruption("a control record does not parse", {{"bytes", value.size()}});
  }
  switch (in.record_case()) {
    case v1::Record::kClaim:
      return Record(Claim{in.claim().n(), in.claim().cluster(), Get(in.claim().process())});
    case v1::Record::kBeat:
      return Record(Beat{Get(in.beat().by()), in.beat().lease_us()});
    case v1::Record::kDefineStream:
      return Get(in.define_stream());
    case v1::Record::kDefine:
      return Get(in.define());
    case v1::Record::kDrop: {
      const auto& m = in.drop();
      return Record(Drop{Get(m.by()), {m.namespace_(), m.pipeline(), Offset(m.defined_at())}});
    }
    case v1::Record::kDropStream: {
      const auto& m = in.drop_stream();
      return Record(
          DropStream{Get(m.by()), m.namespace_(), m.name(), Offset(m.generation()), m.topic_id()});
    }
    case v1::Record::kAssign: {
      const auto& m = in.assign();
      return Record(Assign{Get(m.by()), Get(m.shard()), Get(m.worker()), Epoch(m.epoch())});
    }
    case v1::Record::kSkip: {
      const auto& m = in.skip();
      return Record(Skip{Get(m.by()), Get(m.shard()), Get(m.worker()), Epoch(m.epoch()),
                         Offset(m.to()), m.reason()});
    }
    case v1::Record::kHalt:
      return Get(in.halt());
    case v1::Record::kSet: {
      const auto& m = in.set();
      return Record(Set{Get(m.by()), Get(m.what()), m.key(), m.value()});
    }
    case v1::Record::kTrim: {
      Trim r{Get(in.trim().by()), Get(in.trim().stream()), {}};
      for (const int64_t o : in.trim().to()) r.to.emplace_back(o);
      return Record(std::move(r));
    }
    case v1::Record::kCommit: {
      const auto& m = in.commit();
      return Record(Commit{Get(m.shard()), Epoch(m.epoch()), CutNumber(m.cut()),
                           Offset(m.next_offset()), m.manifest(), Get(m.manifest_hash()),
                           Get(m.state_hash())});
    }
    case v1::Record::kSnapshot: {
      const auto& m = in.snapshot();
      return Record(
          Snapshot{Get(m.by()), Offset(m.at()), Get(m.hash()), m.chunk(), m.chunks(), m.state()});
    }
    case v1::Record::RECORD_NOT_SET:
      break;
  }
  return Corruption("a control record is of a kind that this version does not know");
}

}  // namespace millrace::control

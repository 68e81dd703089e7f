#include "millrace/runtime/outbox.h"

#include "millrace/model/object_keys.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::runtime {
namespace {

constexpr size_t kBound = 4096;

/// Makes rows of a shard whose results are final at once: each is its file's row too.
class Maker {
 public:
  /// `n` rows whose group keys take `bytes`; `ends`: their file ends behind them.
  window::OutputRows Final(int n, bool ends, size_t bytes = 1) {
    window::OutputRows made;
    made.before = chain_;
    for (int i = 0; i < n; ++i) {
      OutputRow row;
      row.seq = ++results_;
      row.file_seq = ++files_;
      row.key = std::string(bytes, 'k');
      chain_ = Encode(row, chain_, &made.bytes);
      hashes_.push_back(chain_);
    }
    made.after = chain_;
    made.last[1] = n == 0 ? 0 : results_;
    made.last[2] = files_;
    if (ends) {
      OutputRow end;
      end.output = Output::kFiles;
      end.seq = files_;
      end.file_end = true;
      end.file_first = first_;
      EncodeRow(end, &made.bytes);
      made.last_file_end = files_;
      first_ = files_ + 1;
    }
    return made;
  }
  window::OutputRows Late(int n) {
    window::OutputRows made{Output::kLate, {}, {}, 0, late_chain_, late_chain_};
    for (int i = 0; i < n; ++i) {
      OutputRow row;
      row.output = Output::kLate;
      row.seq = ++late_;
      made.after = late_chain_ = Encode(row, late_chain_, &made.bytes);
    }
    made.last[4] = late_;
    return made;
  }
  /// A skip: what is made from now on does not continue the chain.
  void Skip() { chain_ = HashBehind(chain_, "a skip"); }
  /// A result row that was made.
  LastRow At(int64_t seq) const { return {seq, hashes_.at(static_cast<size_t>(seq) - 1)}; }

 private:
  static Hash128 Encode(const OutputRow& row, const Hash128& before, std::string* out) {
    const size_t begin = out->size();
    EncodeRow(row, out);
    ByteReader in(std::string_view(*out).substr(begin));
    return ChainHash(before, in.Text());
  }

  Hash128 chain_;
  Hash128 late_chain_;
  std::vector<Hash128> hashes_;
  int64_t results_ = 0;
  int64_t files_ = 0;
  int64_t late_ = 0;
  int64_t first_ = 1;
};

/// The sink has the rows up to `seq`.
void Has(Outbox* outbox, Output output, int64_t seq) { outbox->SetApplied(output, {seq, {}}); }

/// Up to `limit` rows that wait for one output's sink.
std::vector<OutputRow> Next(const Outbox& outbox, Output output, size_t limit) {
  std::vector<OutputRow> rows = outbox.Next(100'000).rows;
  std::erase_if(rows, [&](const OutputRow& row) { return row.output != output; });
  rows.resize(std::min(rows.size(), limit));
  return rows;
}

std::vector<int64_t> Seqs(const std::vector<OutputRow>& rows) {
  std::vector<int64_t> seqs;
  for (const OutputRow& row : rows) seqs.push_back(row.file_end ? -row.seq : row.seq);
  return seqs;
}

using Numbers = std::vector<int64_t>;

/// The rows of the next finished file and its end mark; none: no file is finished.
std::vector<OutputRow> FileOf(const Outbox& outbox) {
  const auto file = outbox.NextFile();
  if (!file) return {};
  std::vector<OutputRow> rows;
  for (auto part = file->rows->Next(7).value(); !part.empty(); part = file->rows->Next(7).value())
    rows.insert(rows.end(), part.begin(), part.end());
  CHECK(rows.front().seq == file->first);
  rows.push_back(file->end);
  return rows;
}

struct Fixture {
  Outbox outbox{kBound};
  Maker maker;
};

size_t RowsIn(const checkpoint::Owed& owed) {
  size_t rows = 0;
  for (const checkpoint::NewOwed& fresh : owed.fresh) {
    for (const checkpoint::OwedRows& piece : fresh.rows) {
      for (ByteReader in(piece.bytes.bytes); !in.done();) rows += DecodeRow(&in).ok() ? 1 : 0;
    }
  }
  return rows;
}

/// Objects as a cut puts them and a restore reads them.
struct Store {
  /// Puts what is new. Gives what a manifest names.
  std::vector<checkpoint::OwedObject> Save(const checkpoint::Owed& owed) {
    std::vector<checkpoint::OwedObject> named = owed.saved;
    checkpoint::Manifest cut;
    cut.shard = shard;
    cut.epoch = Epoch(1);
    cut.cut = CutNumber(++cuts);
    for (const checkpoint::NewOwed& fresh : owed.fresh) {
      named.push_back(checkpoint::Describe(cut, fresh.rows));
      written += named.back().size;
      const Status put = executor.RunUntilDone(
          objects.PutFrom(named.back().object, checkpoint::BytesOf(fresh.rows)));
      REQUIRE(put.ok());
    }
    return named;
  }
  void Load(const checkpoint::OwedObject& object, Outbox* outbox) {
    const auto pieces = executor.RunUntilDone(checkpoint::LoadOwed(&objects, object));
    REQUIRE(pieces.ok());
    for (const checkpoint::OwedRows& rows : *pieces) outbox->Restore(rows, object);
  }

  test::TestExecutor executor;
  InMemoryObjectStore objects;
  const ShardId shard{{"default", "v", Offset(7)}, PartitionId(0)};
  int64_t cuts = 0;
  int64_t written = 0;
};

TEST_CASE("one row serves the table and the file and stays until both have it") {
  Fixture f;
  f.outbox.Push(f.maker.Final(3, true));
  f.outbox.Push(f.maker.Final(2, false));

  const auto results = Next(f.outbox, Output::kResults, 10);
  CHECK(Seqs(results) == Numbers{1, 2, 3, 4, 5});
  CHECK(results.front().file_seq == 0);
  const auto file = FileOf(f.outbox);
  CHECK(Seqs(file) == Numbers{1, 2, 3, -3});
  CHECK(file.front().output == Output::kFiles);
  CHECK(file.front().result_seq == 1);

  Has(&f.outbox, Output::kResults, 5);
  CHECK(Next(f.outbox, Output::kResults, 10).empty());
  CHECK(Seqs(FileOf(f.outbox)) == Numbers{1, 2, 3, -3});
  Has(&f.outbox, Output::kFiles, 3);
  CHECK(FileOf(f.outbox).empty());
  CHECK(f.outbox.rows_owed(Output::kFiles) == 2);
  CHECK(RowsIn(f.outbox.Owed()) == 6);  // rows of a piece stay together; its end mark is one
  f.outbox.Push(f.maker.Final(0, true));
  CHECK(Seqs(FileOf(f.outbox)) == Numbers{4, 5, -5});
  Has(&f.outbox, Output::kFiles, 5);
  CHECK(f.outbox.Owed().fresh.empty());
}

TEST_CASE("what a manifest owes gives the same rows to each sink after a restore") {
  Fixture f;
  f.outbox.Push(f.maker.Late(2));
  for (int i = 0; i < 4; ++i) f.outbox.Push(f.maker.Final(1000, i == 1, 300));
  Has(&f.outbox, Output::kResults, 2500);
  Has(&f.outbox, Output::kFiles, 700);
  const checkpoint::Owed owed = f.outbox.Owed();
  // What comes later is in no manifest written before.
  f.outbox.Push(f.maker.Late(1));

  Outbox restored(kBound);
  Has(&restored, Output::kResults, 2600);
  Has(&restored, Output::kFiles, 700);
  Store store;
  for (const checkpoint::OwedObject& object : store.Save(owed)) store.Load(object, &restored);
  CHECK(restored.made(Output::kResults) == 4000);
  CHECK(Seqs(Next(restored, Output::kLate, 10)) == Numbers{1, 2});
  const auto results = Seqs(Next(restored, Output::kResults, 5000));
  REQUIRE(results.size() == 1400);
  CHECK((results.front() == 2601 && results.back() == 4000));
  const auto file = Seqs(FileOf(restored));
  REQUIRE(file.size() == 1301);
  CHECK((file.front() == 701 && file.back() == -2000));
}

TEST_CASE("a watermark counts when the serving store has all rows that were made by then") {
  Outbox outbox(kBound);
  Maker maker;
  Has(&outbox, Output::kResults, 1);
  outbox.Push(maker.Final(1, false));
  CHECK(outbox.applied_watermark() == kMinusInfinity);
  outbox.Reached(10);
  CHECK(outbox.applied_watermark() == 10);  // a replay made only what the store has
  outbox.Push(maker.Final(2, false));
  outbox.Reached(20);
  outbox.Reached(30);
  outbox.Push(maker.Late(1));
  outbox.Reached(40);
  outbox.Push(maker.Final(1, true));
  outbox.Reached(50);
  CHECK(outbox.applied_watermark() == 10);
  Has(&outbox, Output::kResults, 2);
  CHECK(outbox.applied_watermark() == 10);
  Has(&outbox, Output::kResults, 3);
  CHECK(outbox.applied_watermark() == 30);
  Has(&outbox, Output::kResults, 4);
  CHECK(outbox.applied_watermark() == 30);  // the late row of 40 is not there
  Has(&outbox, Output::kLate, 1);
  CHECK(outbox.applied_watermark() == 50);  // files may come later
  outbox.Reached(60);
  CHECK(outbox.applied_watermark() == 60);
}

TEST_CASE("watermarks that wait are bounded, and no row is skipped for that") {
  Outbox outbox(kBound);
  Maker maker;
  for (int i = 1; i <= 1'000; ++i) {
    outbox.Push(maker.Late(1));
    outbox.Reached(i);
  }
  for (int i = 1; i <= 1'000; ++i) {
    Has(&outbox, Output::kLate, i);
    CHECK(outbox.applied_watermark() <= i);
  }
  CHECK(outbox.applied_watermark() == 1'000);
}

TEST_CASE("many cuts while a file is open write each row a few times and name few objects") {
  Fixture f;
  Store store;
  std::vector<checkpoint::OwedObject> named;
  constexpr int kCuts = 500;
  int64_t bytes = 0;
  for (int cut = 0; cut < kCuts; ++cut) {
    window::OutputRows made = f.maker.Final(10, false, 100);
    bytes += static_cast<int64_t>(made.bytes.size());
    f.outbox.Push(std::move(made));
    Has(&f.outbox, Output::kResults, 10 * (cut + 1));
    const checkpoint::Owed owed = f.outbox.Owed();
    named = store.Save(owed);
    CHECK(named.size() <= 10);
    // Now and then the commit does not count, and the next cut writes these rows again.
    if (cut % 7 == 3) continue;
    for (size_t i = 0; i < owed.fresh.size(); ++i)
      f.outbox.Saved(owed.fresh[i], named[named.size() - owed.fresh.size() + i]);
  }
  CHECK(store.written < 12 * bytes);
  const int64_t written = store.written;
  CHECK(store.Save(f.outbox.Owed()) == named);
  CHECK(store.written == written);

  Outbox restored(kBound);
  Has(&restored, Output::kResults, 10 * kCuts);
  for (const checkpoint::OwedObject& object : named) store.Load(object, &restored);
  CHECK(store.Save(restored.Owed()) == named);
  window::OutputRows end = f.maker.Final(0, true);
  restored.Push(end);
  const auto file = Seqs(FileOf(restored));
  REQUIRE(file.size() == 10 * kCuts + 1);
  for (size_t i = 0; i + 1 < file.size(); ++i) REQUIRE(file[i] == static_cast<int64_t>(i) + 1);
}

TEST_CASE("owed rows that are not what was put are refused") {
  Fixture f;
  Store store;
  f.outbox.Push(f.maker.Late(2));
  const checkpoint::OwedObject object = store.Save(f.outbox.Owed()).at(0);
  CHECK(checkpoint::UploadEpoch(object.object.substr(StateFolder(store.shard).size())) == Epoch(1));
  const auto load = [&] {
    return store.executor.RunUntilDone(checkpoint::LoadOwed(&store.objects, object)).error().code;
  };
  std::string bytes(store.executor.RunUntilDone(store.objects.Get(object.object))->bytes);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  REQUIRE(store.executor.RunUntilDone(store.objects.Put(object.object, Buffer::Own(bytes))).ok());
  CHECK(load() == Code::kCorruption);
  REQUIRE(store.executor.RunUntilDone(store.objects.Delete(object.object)).ok());
  CHECK(load() == Code::kNotFound);
}

TEST_CASE("rows of an unfinished file alone do not fill the outbox") {
  Fixture f;
  f.outbox.Push(f.maker.Final(100, false, 100));
  CHECK(f.outbox.full());
  Has(&f.outbox, Output::kResults, 100);
  CHECK_FALSE(f.outbox.full());
  f.outbox.Push(f.maker.Final(0, true));
  CHECK(f.outbox.full());
  Has(&f.outbox, Output::kFiles, 100);
  CHECK_FALSE(f.outbox.full());
}

TEST_CASE("rows that a sink has are not taken again") {
  Fixture f;
  Has(&f.outbox, Output::kResults, 3);
  f.outbox.Push(f.maker.Final(2, false));
  CHECK(Next(f.outbox, Output::kResults, 10).empty());
  CHECK(RowsIn(f.outbox.Owed()) == 2);  // for the file
  f.outbox.Push(f.maker.Final(2, false));
  CHECK(Seqs(Next(f.outbox, Output::kResults, 10)) == Numbers{4});
}

TEST_CASE("a batch says which row is its last in each output, wherever it ends") {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.outbox.Push(f.maker.Final(2, false, 300));
  f.outbox.Push(f.maker.Late(2));
  f.maker.Skip();
  f.outbox.Push(f.maker.Final(2, true));
  constexpr auto kResults = static_cast<size_t>(Output::kResults);
  for (size_t limit = 1; limit < 10; ++limit) {
    const Outbox::Batch batch = f.outbox.Next(limit);
    CHECK(batch.rows.size() == limit);
    int64_t last = 0;
    int64_t late = 0;
    for (const OutputRow& row : batch.rows) (row.output == Output::kLate ? late : last) = row.seq;
    CHECK(batch.to[kResults] == f.maker.At(last));
    CHECK(batch.to[static_cast<size_t>(Output::kLate)].seq == late);
  }
  CHECK(f.outbox.NextFile()->hash == f.maker.At(8).hash);
  // What is applied stays where it is when nothing more of its output waits.
  f.outbox.SetApplied(Output::kResults, f.maker.At(8));
  CHECK(f.outbox.Next(10).to[kResults] == f.maker.At(8));
  // And after a restore.
  Store store;
  Outbox restored(kBound);
  restored.SetApplied(Output::kResults, f.maker.At(3));
  for (const checkpoint::OwedObject& object : store.Save(f.outbox.Owed()))
    store.Load(object, &restored);
  CHECK(Seqs(Next(restored, Output::kResults, 100)) == Numbers{4, 5, 6, 7, 8});
  CHECK(restored.Next(2).to[kResults] == f.maker.At(5));
  CHECK(restored.Next(100).to[kResults] == f.maker.At(8));
  CHECK(restored.NextFile()->hash == f.maker.At(8).hash);
}

TEST_CASE("what a store says that it has is unproved until the shard has made that row") {
  Maker maker;
  const window::OutputRows first = maker.Final(4, false);
  const window::OutputRows second = maker.Final(4, false);
  LastRow held = maker.At(6);
  const bool same = GENERATE(true, false);
  if (!same) held.hash.hi ^= 1;
  const auto check = [&](const Outbox& outbox) {
    CHECK(outbox.proved() == same);
    REQUIRE(outbox.other().has_value() == !same);
    if (!same) CHECK(outbox.other()->held == held);
  };
  SECTION("the row is made later") {
    Outbox outbox(kBound);
    outbox.Believe(Output::kResults, held);
    CHECK_FALSE(outbox.proved());
    outbox.Push(first);
    CHECK_FALSE(outbox.proved());
    CHECK_FALSE(outbox.other());
    CHECK(outbox.Next(10).rows.empty());
    outbox.Push(second);
    check(outbox);
    CHECK(Seqs(outbox.Next(10).rows) == Numbers{7, 8});
  }
  SECTION("the row waits for the store already") {
    Outbox outbox(kBound);
    outbox.Push(first);
    outbox.Push(second);
    outbox.Believe(Output::kResults, held);
    check(outbox);
  }
  SECTION("it is owed by a checkpoint") {
    Outbox before(kBound);
    before.Push(first);
    before.Push(second);
    before.SetApplied(Output::kResults, maker.At(2));
    Store store;
    Outbox outbox(kBound);
    outbox.Believe(Output::kResults, held);
    for (const checkpoint::OwedObject& object : store.Save(before.Owed()))
      store.Load(object, &outbox);
    check(outbox);
  }
  SECTION("it is the last one that a checkpoint knows as applied") {
    Outbox outbox(kBound);
    outbox.Believe(Output::kResults, held);
    outbox.Compare(Output::kResults, maker.At(5));
    CHECK_FALSE(outbox.proved());
    outbox.Compare(Output::kResults, maker.At(6));
    check(outbox);
  }
  SECTION("the store stands where it stood, with another row") {
    Outbox outbox(kBound);
    outbox.Push(first);
    outbox.Push(second);
    outbox.SetApplied(Output::kResults, maker.At(6));
    outbox.Believe(Output::kResults, held);
    check(outbox);
  }
  SECTION("a skip has decided on it") {
    Outbox outbox(kBound);
    OutputSeqs decided = {};
    decided[static_cast<size_t>(Output::kResults)] = 6;
    outbox.Settle(decided);
    outbox.Believe(Output::kResults, held);
    CHECK(outbox.proved());
    outbox.Push(first);
    outbox.Push(second);
    CHECK_FALSE(outbox.other());
    CHECK(outbox.applied()[static_cast<size_t>(Output::kResults)] == held);
  }
}

}  // namespace
}  // namespace millrace::runtime

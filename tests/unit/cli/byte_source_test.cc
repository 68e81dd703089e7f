#include "millrace/cli/byte_source.h"

#include "cli_test_support.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

std::string Bytes(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

// `printf 'hello\n'` through zstd and through gzip -n.
const std::string kZstd = Bytes("28b52ffd045831000068656c6c6f0a5388bd91");
const std::string kGzip = Bytes("1f8b0800000000000003cb48cdc9c9e7020020303a3606000000");

/// All of a source, `size` bytes at a time; what it says where it ends.
std::string ReadAll(ByteSource& source, size_t size, std::string* error) {
  std::string out;
  std::string piece(size, '\0');
  for (;;) {
    const auto n = source.Read(piece.data(), piece.size());
    if (!n.ok()) {
      *error = n.error().message;
      return out;
    }
    if (*n == 0) return out;
    out.append(piece.data(), *n);
  }
}

struct Opened {
  std::unique_ptr<Input> input;
  std::string error;

  explicit Opened(const std::string& path) {
    auto opened = Input::Open(path);
    REQUIRE(opened.ok());
    input = std::move(opened).value();
  }
  std::string All(size_t size = 1 << 16) { return ReadAll(*input, size, &error); }
};

TEST_CASE("files are decompressed by their names, all their frames, in pieces of any size") {
  const test::TempDir dir;
  const size_t size = GENERATE(1u, 4u, 1u << 16);
  Opened zstd(test::WriteFile(dir.Sub("a.csv.zst"), kZstd + kZstd));
  CHECK(zstd.All(size) == "hello\nhello\n");
  CHECK(zstd.error.empty());
  CHECK(zstd.input->content_name() == "a.csv");
  Opened gzip(test::WriteFile(dir.Sub("a.json.gz"), kGzip + kGzip));
  CHECK(gzip.All(size) == "hello\nhello\n");
  CHECK(gzip.error.empty());
  CHECK(gzip.input->content_name() == "a.json");
  Opened plain(test::WriteFile(dir.Sub("a"), kGzip));
  CHECK(plain.All(size) == kGzip);
}

TEST_CASE("what is cut short or damaged is an error after what could be read") {
  const test::TempDir dir;
  const auto [name, bytes] =
      GENERATE(table<std::string, std::string>({{"a.zst", kZstd}, {"a.gz", kGzip}}));
  for (const size_t kept : {bytes.size() - 1, bytes.size() / 2, size_t{1}, size_t{0}}) {
    Opened cut(test::WriteFile(dir.Sub(name), bytes.substr(0, kept)));
    cut.All();
    CHECK(cut.error.find("cannot decompress the input: it ends too early") == 0);
    Opened again(dir.Sub(name));
    CHECK(again.input->Digest().error().code == Code::kCorruption);
  }
  std::string flipped = bytes;
  flipped[flipped.size() - 6] ^= 0x10;
  Opened damaged(test::WriteFile(dir.Sub(name), flipped));
  damaged.All();
  CHECK(damaged.error.find("cannot decompress the input") == 0);
  Opened other(test::WriteFile(dir.Sub(name), "hello\n"));
  CHECK(other.All().empty());
  CHECK(other.error.find(dir.Sub(name)) != std::string::npos);
}

TEST_CASE("the digest is of the content, however it is compressed") {
  const test::TempDir dir;
  Opened plain(test::WriteFile(dir.Sub("a"), "hello\n"));
  Opened zstd(test::WriteFile(dir.Sub("a.zst"), kZstd));
  Opened gzip(test::WriteFile(dir.Sub("a.gz"), kGzip));
  const std::string digest = *plain.input->Digest();
  for (const Opened* opened : {&zstd, &gzip}) CHECK(*opened->input->Digest() == digest);
  for (Opened* opened : {&plain, &zstd, &gzip}) {
    CHECK(opened->input->consumed() == 0);
    CHECK(opened->All() == "hello\n");
    CHECK(opened->input->consumed() == opened->input->size());
  }
}

TEST_CASE("reading ends where the digest ended") {
  const test::TempDir dir;
  const std::string path = test::WriteFile(dir.Sub("a"), "abc");
  Opened opened(path);
  CHECK(opened.input->repeatable());
  CHECK(*opened.input->Digest() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(opened.input->CheckUnchanged().ok());
  std::ofstream(path, std::ios::app) << "def";
  CHECK(opened.All() == "abc");
  CHECK(opened.input->consumed() == 3);
  const Status changed = opened.input->CheckUnchanged();
  REQUIRE(!changed.ok());
  CHECK(changed.error().code == Code::kConflict);
}

TEST_CASE("a device cannot be read twice") {
  Opened null("/dev/null");
  CHECK(!null.input->repeatable());
  CHECK(null.input->size() == -1);
  CHECK(null.All().empty());
}

}  // namespace
}  // namespace millrace::cli

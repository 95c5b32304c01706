// SPDX-License-Identifier: Apache-2.0
//
// A tokenizer at the other end of a pipe, for compare_with_library.py: reads records (a 32-bit little-endian length and
// that many bytes) from stdin and answers each with one record on stdout.
//
//   msa_tokenizer_driver TOKENIZER_JSON encode|ordinary|decode|decode-plain|stream
//   msa_tokenizer_driver TOKENIZER_JSON bench SECONDS       (stdin: plain text; prints MB a second of
//                                                         processor time, and the number of tokens)

#include "runtime/tokenizer/Tokenizer.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>

namespace {

int fail(const char *message) {
  std::fprintf(stderr, "msa_tokenizer_driver: %s\n", message);
  return 1;
}

bool readRecord(std::string &record) {
  uint32_t length = 0;
  if (std::fread(&length, sizeof length, 1, stdin) != 1)
    return false;
  record.resize(length);
  return std::fread(record.data(), 1, length, stdin) == length;
}

void writeRecord(const void *data, size_t size) {
  uint32_t length = static_cast<uint32_t>(size);
  std::fwrite(&length, sizeof length, 1, stdout);
  std::fwrite(data, 1, size, stdout);
  std::fflush(stdout);
}

msa::rt::Status decodeRecord(const msa::rt::Tokenizer &tokenizer, const std::string &mode, const std::string &record,
                             std::string &text) {
  std::vector<int32_t> ids(record.size() / sizeof(int32_t));
  std::memcpy(ids.data(), record.data(), ids.size() * sizeof(int32_t));
  if (mode != "stream")
    return tokenizer.decode(ids, mode == "decode-plain", text);
  text.clear();
  msa::rt::StreamDecoder decoder(tokenizer, false);
  for (int32_t id : ids)
    MSA_TRY(decoder.append(id, text));
  return decoder.finish(text);
}

int bench(const msa::rt::Tokenizer &tokenizer, double seconds) {
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::vector<int32_t> ids;
  double spent = 0; // processor time: the machine may be busy with other things
  size_t rounds = 0;
  while (spent < seconds || rounds < 2) {
    std::clock_t start = std::clock();
    if (msa::rt::Status status = tokenizer.encode(text, ids); !status.ok())
      return fail(status.message());
    spent += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    ++rounds;
  }
  std::printf("%.2f MB/s %zu tokens\n", static_cast<double>(text.size() * rounds) / spent / 1e6, ids.size());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3)
    return fail(
        "usage: msa_tokenizer_driver TOKENIZER_JSON encode|ordinary|decode|decode-plain|stream|bench [SECONDS]");
  std::ifstream file(argv[1], std::ios::binary);
  std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::unique_ptr<const msa::rt::Tokenizer> tokenizer;
  if (msa::rt::Status status = msa::rt::Tokenizer::load(json, tokenizer); !status.ok())
    return fail(status.message());

  std::string mode = argv[2], record, text;
  if (mode == "bench")
    return bench(*tokenizer, argc > 3 ? std::atof(argv[3]) : 2.0);
  std::vector<int32_t> ids;
  while (readRecord(record)) {
    msa::rt::Status status;
    if (mode == "encode")
      status = tokenizer->encode(record, ids);
    else if (mode == "ordinary")
      status = tokenizer->encodeOrdinary(record, ids);
    else
      status = decodeRecord(*tokenizer, mode, record, text);
    if (!status.ok())
      return fail(status.message());
    if (mode == "encode" || mode == "ordinary")
      writeRecord(ids.data(), ids.size() * sizeof(int32_t));
    else
      writeRecord(text.data(), text.size());
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// msa-run add: encodes documents and appends them to a bank on disk.

#include "tools/run/bank_handles.h"
#include "tools/run/command.h"
#include "tools/run/progress_bar.h"
#include "tools/run/text_input.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace msa::tool {

namespace {

struct Options {
  LoadOptions load;
  std::string bank, jsonl, ids, store;
  std::vector<std::string> files;
  int64_t tokensPerCall = 0;
  bool json = false;
};

/// Keeps other processes from adding to the same bank until this one ends: each would save what the other has not seen.
class BankLock {
public:
  ~BankLock() {
    if (descriptor >= 0)
      close(descriptor);
  }
  Status take(const std::string &directory) {
    if (mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST)
      return Status(MSA_IO, "cannot create the directory '" + directory + "': " + std::strerror(errno));
    std::string path = directory + "/LOCK";
    descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (descriptor < 0)
      return Status(MSA_IO, "cannot open '" + path + "': " + std::strerror(errno));
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
      return Status(MSA_FAILED_PRECONDITION, "another process is adding to '" + directory + "'; try again when it has ended");
    return Status();
  }

private:
  int descriptor = -1;
};

Status openBank(const Options &options, const Program &program, BankOwner &bank) {
  msa_element_type storage = options.store == "f16" ? MSA_F16 : options.store == "bf16" ? MSA_BF16 : MSA_F32;
  msa_bank *made = nullptr;
  Status status(msa_bank_load(program.get(), options.bank.c_str(), &made));
  if (status.ok()) {
    bank.reset(made);
    if (!options.store.empty() && msa_bank_storage(made) != storage)
      return Status(MSA_INVALID_ARGUMENT, "the bank in '" + options.bank + "' is stored as " + msa_element_name(msa_bank_storage(made)) +
                                              "; --store " + options.store + " is for new banks");
    return Status();
  }
  if (status.code() != MSA_NOT_FOUND)
    return status;
  msa_bank_options bankOptions;
  msa_bank_options_initialize(&bankOptions);
  bankOptions.storage = storage;
  status = Status(msa_bank_create(program.get(), &bankOptions, &made));
  bank.reset(made);
  return status;
}

Status readDocuments(const Options &options, std::vector<InputDocument> &documents) {
  if (!options.jsonl.empty())
    return readDocumentLines(options.jsonl, documents);
  if (!options.ids.empty())
    return readDocumentIds(options.ids, documents);
  for (const std::string &file : options.files) {
    InputDocument &document = documents.emplace_back();
    document.name = file;
    if (Status status = readText(file, document.text); !status.ok())
      return status;
  }
  return Status();
}

Status add(const Options &options) {
  int sources = !options.jsonl.empty() + !options.ids.empty() + !options.files.empty();
  if (sources != 1)
    throw CLI::ValidationError("FILE", "expected exactly one of FILE..., --jsonl and --ids, found " + std::to_string(sources));
  std::vector<InputDocument> documents;
  if (Status status = readDocuments(options, documents); !status.ok())
    return status;
  Runtime runtime;
  Program program;
  if (Status status = options.load.load(runtime, program); !status.ok())
    return status;
  msa_generator *made = nullptr;
  if (Status status(msa_generator_create(program.get(), &made)); !status.ok())
    return status;
  GeneratorOwner generator(made);
  BankLock lock;
  if (Status status = lock.take(options.bank); !status.ok())
    return status;
  BankOwner bank;
  if (Status status = openBank(options, program, bank); !status.ok())
    return status;

  std::vector<msa_bank_document> records;
  for (const InputDocument &document : documents)
    records.push_back({document.number, 0, document.name.data(), document.name.size(), document.text.data(), document.text.size(),
                       document.ids.data(), document.ids.size()});
  msa_add_options addOptions;
  msa_add_options_initialize(&addOptions);
  addOptions.tokens_per_call = options.tokensPerCall;
  ProgressBar bar("adding documents");
  addOptions.user = &bar;
  addOptions.progress = [](void *user, int64_t done, int64_t total) {
    static_cast<ProgressBar *>(user)->update(uint64_t(done), uint64_t(total));
    return 0;
  };
  auto start = std::chrono::steady_clock::now();
  msa_add_result result;
  if (Status status(msa_generator_add(generator.get(), bank.get(), records.data(), records.size(), &addOptions, &result)); !status.ok())
    return status;
  if (Status status(msa_bank_save(bank.get(), options.bank.c_str())); !status.ok())
    return status;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  msa_bank_size size;
  msa_bank_get_size(bank.get(), &size);
  const char *storage = msa_element_name(msa_bank_storage(bank.get()));
  bool small = false;
  msa_bank_field field;
  for (uint32_t i = 0; msa_bank_get_field(bank.get(), i, &field); ++i)
    small |= field.type == MSA_F8E4M3FN;
  if (options.json) {
    nlohmann::ordered_json out = {
        {"documents", result.documents}, {"chunks", result.chunks}, {"tokens", result.tokens}, {"seconds", seconds},
        {"bank", {{"documents", size.documents}, {"chunks", size.rows}, {"storage", storage}, {"stored_bytes", size.stored_bytes},
                  {"memory_bytes", size.memory_bytes}}}};
    if (small)
      out["bank"]["routing_keys"] = msa_element_name(MSA_F8E4M3FN);
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("added %lld documents, %lld chunks, %lld tokens in %.2f s; the bank has %lld documents, %lld chunks: %.1f MB of rows as %s%s, "
                "%.1f MB in memory\n",
                static_cast<long long>(result.documents), static_cast<long long>(result.chunks), static_cast<long long>(result.tokens), seconds,
                static_cast<long long>(size.documents), static_cast<long long>(size.rows), double(size.stored_bytes) / 1e6, storage,
                small ? " (routing keys as f8e4m3fn)" : "",
                double(size.memory_bytes) / 1e6);
  }
  return Status();
}

} // namespace

void declareAdd(CLI::App &app, Run &run) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("add", "encode documents and append them to a memory bank");
  options->load.declare(*command);
  command->add_option("files", options->files, "text files, each a document that is named after it; '-' is standard input")->type_name("FILE");
  command->add_option("--bank", options->bank, "directory of the bank; made where there is none")->required()->type_name("DIR");
  command->add_option("--jsonl", options->jsonl, "documents, one a line: {\"text\": ..., \"name\": ..., \"number\": ...}; only text is needed")
      ->type_name("FILE");
  command
      ->add_option("--ids", options->ids,
                   "documents as tokens: [[ids...], ...] or {\"documents\": [{\"input_ids\": [...], \"name\", \"text\", \"number\"}]}; no "
                   "template is put around them")
      ->type_name("FILE.json");
  command->add_option("--store", options->store, "element type of a new bank's rows (default: as the artifact reads them)")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  command->add_option("--tokens-per-call", options->tokensPerCall, "tokens that are encoded at once; changes speed and memory, not results")
      ->type_name("N")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &run] { run = [options] { return add(*options); }; });
}

} // namespace msa::tool

// SPDX-License-Identifier: Apache-2.0
//
// Documents to rows of a bank. Several are packed into one call of entry `encode`, which keeps them apart: a document's rows are the
// same bytes whatever it was packed with.

#include "runtime/generation/generator.h"

#include <algorithm>
#include <cinttypes>

namespace msa::gen {

namespace {

// Large enough to keep the products efficient, small enough for working memory of some tens of megabytes.
constexpr int64_t kDefaultTokensPerCall = 2048;

/// What one attention sees: a document, or a window of one.
struct Part {
  size_t document, begin, count;
};

/// A document whose tokens are known, and how many rows it has so far.
struct Pending {
  int64_t number;
  std::vector<int32_t> ids;
  int64_t chunks = 0;
};

class Encoder {
public:
  Encoder(const msa_generator &generator, msa_bank *bank) : generator(generator), bank(bank) {}

  Status initialize() {
    MSA_TRY(pass(Context::create(generator.program, context)));
    MSA_TRY(pass(Invocation::create(context, "encode", encode)));
    uint32_t entry;
    MSA_TRY(pass(generator.program.findEntry("encode", entry)));
    for (uint32_t i = 0; i < msa_bank_field_count(bank); ++i) {
      msa_bank_field field;
      uint32_t output;
      msa_bank_get_field(bank, i, &field);
      MSA_TRY(pass(encode.findOutput(field.name, output)));
      outputs.push_back(output);
      msa_port port;
      generator.program.output(entry, output, port);
      types.push_back(port.type);
      uint64_t bytes = msa_element_size(port.type);
      for (uint32_t axis = 0; axis < field.row_rank; ++axis)
        bytes *= uint64_t(field.row_shape[axis]);
      rowBytes.push_back(bytes);
      fields.push_back(field);
    }
    rows.resize(fields.size());
    return pass(encode.findOutput("chunk_doc", chunkDoc));
  }

  /// Tokens of |parts| to rows, which are appended to those that wait; their counts go to |documents|.
  Status run(std::span<const Part> parts, std::vector<Pending> &documents, msa_cancel_token *cancel) {
    ids.clear(), doc.clear(), pos.clear(), window.clear(), wpos.clear(), content.clear();
    for (size_t i = 0; i < parts.size(); ++i) {
      const Part &part = parts[i];
      auto begin = documents[part.document].ids.begin() + ptrdiff_t(part.begin);
      if (!generator.decoder())
        ids.push_back(generator.prompts->windowBefore());
      for (size_t t = 0; t < part.count; ++t) {
        content.push_back(int64_t(ids.size()));
        ids.push_back(begin[ptrdiff_t(t)]);
        doc.push_back(int64_t(i + 1));
        pos.push_back(int64_t(t));
      }
      if (!generator.decoder())
        ids.push_back(generator.prompts->windowAfter());
      while (window.size() < ids.size()) {
        bool first = window.empty() || window.back() != int64_t(i + 1);
        wpos.push_back(first ? 0 : wpos.back() + 1);
        window.push_back(int64_t(i + 1));
      }
    }
    MSA_TRY(bind("ids", ids));
    MSA_TRY(bind("doc", doc));
    MSA_TRY(bind("pos", pos));
    if (!generator.decoder()) {
      MSA_TRY(bind("window", window));
      MSA_TRY(bind("wpos", wpos));
      MSA_TRY(bind("content", content));
    }
    Invocation::Options options;
    options.cancel = cancel;
    MSA_TRY(pass(encode.run(options)));

    msa_tensor numbers;
    MSA_TRY(pass(encode.output(chunkDoc, numbers)));
    for (int64_t c = 0; c < numbers.shape[0]; ++c) {
      int64_t part = static_cast<const int64_t *>(numbers.data)[c];
      if (part < 1 || uint64_t(part) > parts.size())
        return failure(MSA_PROGRAM_FAILED, "entry 'encode' gave a chunk to document %" PRId64 " of %zu", part, parts.size());
      ++documents[parts[size_t(part - 1)].document].chunks;
    }
    for (size_t f = 0; f < fields.size(); ++f) {
      msa_tensor tensor;
      MSA_TRY(pass(encode.output(outputs[f], tensor)));
      if (tensor.shape[0] != numbers.shape[0])
        return failure(MSA_PROGRAM_FAILED, "entry 'encode' gave %" PRId64 " rows of '%s' and %" PRId64 " of 'chunk_doc'", tensor.shape[0],
                       fields[f].name, numbers.shape[0]);
      auto *bytes = static_cast<const uint8_t *>(tensor.data);
      rows[f].insert(rows[f].end(), bytes, bytes + uint64_t(tensor.shape[0]) * rowBytes[f]);
    }
    return {};
  }

  /// Moves the rows of |records|, the first that wait, to the bank.
  Status flush(std::span<const msa_bank_document> records) {
    int64_t chunks = 0;
    for (const msa_bank_document &record : records)
      chunks += record.chunks;
    std::vector<msa_tensor> tensors;
    for (size_t f = 0; f < fields.size(); ++f) {
      msa_tensor tensor = {};
      tensor.data = rows[f].data();
      tensor.type = types[f];
      tensor.rank = fields[f].row_rank + 1;
      tensor.shape[0] = chunks;
      std::copy_n(fields[f].row_shape, fields[f].row_rank, tensor.shape + 1);
      tensors.push_back(tensor);
    }
    MSA_TRY(Status(msa_bank_add(bank, records.data(), records.size(), tensors.data(), tensors.size())));
    for (size_t f = 0; f < fields.size(); ++f)
      rows[f].erase(rows[f].begin(), rows[f].begin() + ptrdiff_t(uint64_t(chunks) * rowBytes[f]));
    return {};
  }

private:
  Status bind(const char *name, std::vector<int64_t> &values) {
    return pass(encode.bindInput(name, tensor(values.data(), MSA_I64, {int64_t(values.size())})));
  }

  const msa_generator &generator;
  msa_bank *bank;
  Context context;
  Invocation encode;
  std::vector<msa_bank_field> fields;
  std::vector<uint32_t> outputs;
  std::vector<msa_element_type> types; // as encode gives them
  std::vector<uint64_t> rowBytes;
  uint32_t chunkDoc = 0;
  std::vector<std::vector<uint8_t>> rows; // per field, of documents that are not in the bank yet
  std::vector<int64_t> ids, doc, pos, window, wpos, content;
};

Status tokenize(const msa_generator &generator, const msa_bank *bank, std::span<const msa_bank_document> documents,
                std::vector<Pending> &out) {
  msa_bank_size size;
  msa_bank_get_size(bank, &size);
  int64_t next = size.next_number;
  out.resize(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const msa_bank_document &document = documents[i];
    Pending &pending = out[i];
    pending.number = document.number == -1 ? next : document.number;
    if (pending.number < next || pending.number == INT64_MAX)
      return failure(MSA_INVALID_ARGUMENT, "document %zu has the number %" PRId64 ", expected %" PRId64
                                           " or more: numbers ascend and are never given out again",
                     i, pending.number, next);
    next = pending.number + 1;
    if (document.ids && document.id_count)
      pending.ids.assign(document.ids, document.ids + document.id_count);
    else
      MSA_TRY(generator.prompts->document(pending.number, {document.text, document.text_length}, pending.ids));
    Status checked = generator.checkIds(pending.ids);
    if (!checked.ok())
      return failure(checked.code(), "document %zu: %s", i, checked.message());
    if (pending.ids.empty() && generator.decoder())
      return failure(MSA_INVALID_ARGUMENT, "document %zu has no tokens", i);
  }
  return {};
}

} // namespace

Status addDocuments(const msa_generator &generator, msa_bank *bank, std::span<const msa_bank_document> documents,
                    const msa_add_options &options, msa_add_result &result) {
  std::vector<Pending> pending;
  MSA_TRY(tokenize(generator, bank, documents, pending));
  size_t window = generator.decoder() ? SIZE_MAX : size_t(generator.config.window.contentTokens);
  std::vector<Part> parts;
  int64_t total = 0;
  for (size_t d = 0; d < pending.size(); ++d) {
    size_t count = pending[d].ids.size();
    total += int64_t(count);
    for (size_t begin = 0; begin < count; begin += std::min(window, count - begin))
      parts.push_back({d, begin, std::min(window, count - begin)});
  }
  Encoder encoder(generator, bank);
  MSA_TRY(encoder.initialize());
  int64_t limit = options.tokens_per_call > 0 ? options.tokens_per_call : kDefaultTokensPerCall, done = 0;
  size_t added = 0; // documents
  for (size_t p = 0; p < parts.size() || added < pending.size();) {
    size_t end = p;
    int64_t tokens = 0;
    while (end < parts.size() && (end == p || tokens + int64_t(parts[end].count) <= limit))
      tokens += int64_t(parts[end++].count);
    if (end > p)
      MSA_TRY(encoder.run(std::span(parts).subspan(p, end - p), pending, options.cancel));
    p = end;
    done += tokens;

    size_t complete = p < parts.size() ? parts[p].document : pending.size();
    std::vector<msa_bank_document> records;
    for (size_t d = added; d < complete; ++d) {
      msa_bank_document record = documents[d];
      record.number = pending[d].number;
      record.chunks = pending[d].chunks;
      record.ids = pending[d].ids.data();
      record.id_count = pending[d].ids.size();
      records.push_back(record);
    }
    MSA_TRY(encoder.flush(records));
    for (const msa_bank_document &record : records) {
      result.documents += 1;
      result.chunks += record.chunks;
      result.tokens += int64_t(record.id_count);
    }
    added = complete;
    if (options.progress && options.progress(options.user, done, total) != 0)
      return failure(MSA_CANCELLED, "adding was stopped by its progress callback");
  }
  return {};
}

} // namespace msa::gen

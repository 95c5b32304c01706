// SPDX-License-Identifier: Apache-2.0

#include "runtime/bank/bank.h"

#include "runtime/bank/row_type.h"
#include "runtime/invocation.h"

#include <cinttypes>
#include <cstring>

using namespace msa::rt;

//===----------------------------------------------------------------------===//
// The handle
//===----------------------------------------------------------------------===//

msa_bank::~msa_bank() {
  for (BankRecord &record : records)
    allocator.release(record.block, record.blockBytes, 16);
  for (BankField *field : fields) {
    for (uint8_t *slab : field->slabs)
      allocator.release(slab, uint64_t(kSlabRows) * field->rowBytes(), kBufferAlignment);
    allocator.destroy(field);
  }
  pthread_rwlock_destroy(&lock);
}

static bool startsWith(const char *name, const char *stem) { return std::strncmp(name, stem, std::strlen(stem)) == 0; }

/// Scales of keys in a small type: a number a row, which no storage type may round.
static bool isScale(const char *name) { return startsWith(name, "mem_rk_scale."); }

/// The type in which |program| reads |name|, outside of entry |encode|; |otherwise| when nothing reads it.
static msa_element_type typeInMemory(const msa_program *program, uint32_t encode, const char *name, msa_element_type otherwise) {
  for (uint32_t entry = 0; entry < msa_program_entry_count(program); ++entry) {
    uint32_t input;
    msa_port port;
    if (entry != encode && msa_program_find_input(program, entry, name, &input) &&
        msa_program_input(program, entry, input, &port))
      return port.type;
  }
  return otherwise;
}

Status msa_bank::describe(msa_program *program, msa_element_type storageType) {
  if (storageType != MSA_F32 && storageType != MSA_F16 && storageType != MSA_BF16)
    return failure(MSA_INVALID_ARGUMENT, "a bank cannot be stored as %s; expected f32, f16 or bf16", msa_element_name(storageType));
  storage = storageType;
  bool chosen = storage != MSA_F32; // the storage type: by the caller, or by a field
  uint32_t encode = 0;
  if (!msa_program_find_entry(program, "encode", &encode))
    return failure(MSA_INVALID_ARGUMENT, "the artifact has no entry 'encode', so there is nothing that could fill a bank");
  for (uint32_t i = 0; i < msa_program_output_count(program, encode); ++i) {
    msa_port port;
    msa_program_output(program, encode, i, &port);
    if (std::strncmp(port.name, "mem_", 4) != 0)
      continue;
    if (std::strlen(port.name) > kMaxFieldName || fields.size() == kMaxFields)
      return failure(MSA_UNSUPPORTED, "output '%s' of entry 'encode': expected at most %u fields with names of at most %zu bytes",
                     port.name, kMaxFields, kMaxFieldName);
    bool fixed = port.type == MSA_F8E4M3FN || isScale(port.name); // stored as encode gives it
    if ((port.type != MSA_F32 && port.type != MSA_F8E4M3FN) || port.rank < 2)
      return failure(MSA_UNSUPPORTED, "output '%s' of entry 'encode': expected f32 or f8e4m3fn of rank 2 or more, found %s of rank %u",
                     port.name, msa_element_name(port.type), port.rank);
    msa_element_type type = typeInMemory(program, encode, port.name, port.type);
    if (fixed ? type != port.type : type == MSA_F8E4M3FN)
      return failure(MSA_UNSUPPORTED, "entry 'encode' gives '%s' as %s, but the artifact reads it as %s; compile all entries in one go",
                     port.name, msa_element_name(port.type), msa_element_name(type));
    if (!fixed && !chosen) {
      chosen = true;
      if (type == MSA_F16 || type == MSA_BF16)
        storage = type;
    }
    if (!fixed && type != MSA_F32 && type != storage)
      return failure(MSA_UNSUPPORTED, "the artifact reads '%s' as %s, so its bank can be stored as %s only, not as %s", port.name,
                     msa_element_name(type), msa_element_name(type), msa_element_name(storage));
    auto *field = allocator.create<BankField>(runtime);
    if (!field)
      return outOfMemory();
    if (!fields.push(field)) {
      allocator.destroy(field);
      return outOfMemory();
    }
    std::strcpy(field->name, port.name);
    field->type = type;
    field->stored = fixed ? type : MSA_F32; // or the storage type, below
    field->rowRank = port.rank - 1;
    for (uint32_t axis = 1; axis < port.rank; ++axis) {
      int64_t dim = port.dims[axis].size;
      if (dim < 1 || __builtin_mul_overflow(field->rowElements, uint64_t(dim), &field->rowElements) ||
          field->rowElements > uint64_t(1) << 32)
        return failure(MSA_UNSUPPORTED, "output '%s' of entry 'encode': dim %u of a row is %" PRId64
                                        "; expected static dims of 1 or more and at most 2^32 elements",
                       port.name, axis, dim);
      field->rowShape[axis - 1] = dim;
    }
  }
  if (fields.empty())
    return failure(MSA_INVALID_ARGUMENT, "entry 'encode' of the artifact has no output mem_*, so there is nothing to keep in a bank");
  for (BankField *field : fields)
    if (field->type != MSA_F8E4M3FN && !isScale(field->name))
      field->stored = storage;
  placeFields();
  if (const uint8_t *bytes = msa_program_fingerprint(program)) {
    hasFingerprint = true;
    std::memcpy(fingerprint, bytes, sizeof fingerprint);
  }
  return {};
}

void msa_bank::placeFields() {
  bool separate = false;
  for (const BankField *field : fields)
    separate |= startsWith(field->name, "mem_rk.");
  for (BankField *field : fields)
    field->deviceRows.content = !startsWith(field->name, separate ? "mem_rk." : "mem_k.") && !isScale(field->name);
}

Status msa_bank::forgetRows(int64_t first) {
  Status result = deviceChunkDocuments.forget(first);
  for (BankField *field : fields) {
    Status status = field->deviceRows.forget(first);
    if (!status.ok())
      result = static_cast<Status &&>(status); // the other fields are cleared all the same
  }
  return result;
}

Status msa_bank::reservePlaces(int64_t wanted) {
  size_t slabs = size_t((wanted + kSlabRows - 1) / kSlabRows);
  for (BankField *field : fields) {
    if (!field->slabs.reserve(slabs))
      return outOfMemory();
    while (field->slabs.size() < slabs) {
      void *slab = allocator.allocate(uint64_t(kSlabRows) * field->rowBytes(), kBufferAlignment);
      if (!slab)
        return outOfMemory();
      (void)field->slabs.push(static_cast<uint8_t *>(slab)); // reserved above
    }
  }
  return {};
}

Status msa_bank::makeRecord(const msa_bank_document &document, BankRecord &out) {
  uint64_t idBytes = 0, bytes = 0;
  if (__builtin_mul_overflow(uint64_t(document.id_count), sizeof(int32_t), &idBytes) ||
      __builtin_add_overflow(idBytes, document.name_length, &bytes) || __builtin_add_overflow(bytes, document.text_length, &bytes) ||
      bytes > uint64_t(1) << 62)
    return outOfMemory();
  out = {};
  out.document = document;
  out.document.ids = nullptr;
  out.document.name = out.document.text = "";
  out.blockBytes = bytes;
  if (!bytes)
    return {};
  out.block = static_cast<uint8_t *>(allocator.allocate(bytes, 16));
  if (!out.block)
    return outOfMemory();
  uint8_t *at = out.block;
  auto copy = [&at](const void *from, uint64_t size) {
    uint8_t *to = at;
    if (size)
      std::memcpy(to, from, size);
    at += size;
    return to;
  };
  out.document.ids = reinterpret_cast<const int32_t *>(copy(document.ids, idBytes));
  out.document.name = reinterpret_cast<const char *>(copy(document.name, document.name_length));
  out.document.text = reinterpret_cast<const char *>(copy(document.text, document.text_length));
  return {};
}

void msa_bank::dropRecord(const BankRecord &record) { allocator.release(record.block, record.blockBytes, 16); }

Status msa_bank::extendRuns(int64_t rows) {
  if (!runs.reserve(runs.size() + size_t(rows / kSlabRows) + 2))
    return outOfMemory();
  while (rows > 0) {
    int64_t room = kSlabRows - usedPlaces % kSlabRows, take = rows < room ? rows : room;
    bool joins = !runs.empty() && runs.back().place + runs.back().rows == usedPlaces && usedPlaces % kSlabRows != 0;
    if (joins)
      runs.back().rows += take;
    else
      (void)runs.push({usedPlaces, take}); // reserved above
    usedPlaces += take;
    rows -= take;
  }
  return {};
}

int64_t msa_bank::find(int64_t number) const {
  size_t low = 0, high = records.size();
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (records[middle].document.number < number)
      low = middle + 1;
    else
      high = middle;
  }
  return low < records.size() && records[low].document.number == number ? int64_t(low) : -1;
}

//===----------------------------------------------------------------------===//
// C interface
//===----------------------------------------------------------------------===//

void msa_bank_options_initialize(msa_bank_options *options) {
  *options = {};
  options->struct_size = sizeof *options;
}

msa_status *msa_bank_create(msa_program *program, const msa_bank_options *options, msa_bank **out_bank) {
  if (out_bank)
    *out_bank = nullptr;
  if (!program || !out_bank)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_create: program or out_bank is null").release();
  if (options && options->struct_size < sizeof *options)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_create: struct_size is %zu; call msa_bank_options_initialize first",
                   options->struct_size)
        .release();
  msa_runtime *runtime = msa_program_runtime(program);
  auto *bank = runtime->allocator.create<msa_bank>(runtime);
  if (!bank)
    return outOfMemory().release();
  Status status = bank->describe(program, options ? options->storage : MSA_F32);
  if (!status.ok()) {
    msa_bank_release(bank);
    return status.release();
  }
  *out_bank = bank;
  return nullptr;
}

msa_bank *msa_bank_retain(msa_bank *bank) {
  if (bank)
    bank->owners.add();
  return bank;
}

void msa_bank_release(msa_bank *bank) {
  if (!bank || !bank->owners.drop())
    return;
  msa_runtime *runtime = bank->runtime;
  runtime->allocator.destroy(bank);
  msa_runtime_release(runtime);
}

uint32_t msa_bank_field_count(const msa_bank *bank) { return uint32_t(bank->fields.size()); }

bool msa_bank_get_field(const msa_bank *bank, uint32_t index, msa_bank_field *out_field) {
  if (index >= bank->fields.size())
    return false;
  const BankField &field = *bank->fields[index];
  *out_field = {};
  out_field->name = field.name;
  out_field->type = field.type;
  out_field->row_rank = field.rowRank;
  std::memcpy(out_field->row_shape, field.rowShape, sizeof field.rowShape);
  return true;
}

msa_element_type msa_bank_storage(const msa_bank *bank) { return bank->storage; }

bool msa_bank_fits(const msa_bank *bank, const msa_program *program) {
  const uint8_t *fingerprint = msa_program_fingerprint(program);
  if (bank->hasFingerprint != (fingerprint != nullptr) ||
      (fingerprint && std::memcmp(fingerprint, bank->fingerprint, sizeof bank->fingerprint) != 0))
    return false;
  uint32_t encode = 0, fields = 0;
  if (!msa_program_find_entry(program, "encode", &encode))
    return false;
  for (uint32_t i = 0; i < msa_program_output_count(program, encode); ++i) {
    msa_port port;
    msa_program_output(program, encode, i, &port);
    if (std::strncmp(port.name, "mem_", 4) != 0)
      continue;
    if (fields == bank->fields.size())
      return false;
    const BankField &field = *bank->fields[fields++];
    if (std::strcmp(field.name, port.name) != 0 || field.rowRank != port.rank - 1 || field.givenType() != port.type)
      return false;
    for (uint32_t axis = 1; axis < port.rank; ++axis)
      if (port.dims[axis].size != field.rowShape[axis - 1])
        return false;
  }
  return fields == bank->fields.size();
}

void msa_bank_get_size(const msa_bank *bank, msa_bank_size *out_size) {
  SharedLock lock(bank);
  *out_size = {};
  out_size->documents = int64_t(bank->records.size());
  out_size->rows = int64_t(bank->chunkDocuments.size());
  out_size->next_number = bank->nextNumber;
  out_size->memory_bytes = bank->recordBytes + bank->records.size() * sizeof(BankRecord) + bank->chunkDocuments.size() * sizeof(int64_t);
  for (const BankField *field : bank->fields) {
    out_size->memory_bytes += field->slabs.size() * uint64_t(kSlabRows) * field->rowBytes();
    out_size->row_bytes += uint64_t(out_size->rows) * field->rowBytes();
    out_size->stored_bytes += uint64_t(out_size->rows) * field->storedRowBytes();
  }
}

/// Rounds |rows| given rows to the stored type and writes them to |to|. Returns the first bad element, or the count.
static size_t putRows(const BankField &field, const uint8_t *given, uint64_t rows, uint8_t *to) {
  size_t count = size_t(rows * field.rowElements);
  if (field.type == MSA_F8E4M3FN) {
    if (count)
      std::memcpy(to, given, count);
    if (allFinite(given, count, field.type))
      return count;
    size_t bad = 0;
    while (allFinite(given + bad, 1, field.type))
      ++bad;
    return bad;
  }
  auto *from = reinterpret_cast<const float *>(given);
  if (field.type == field.stored)
    return narrowRows(from, count, field.stored, to);
  uint16_t narrow[512];
  for (size_t i = 0; i < count; i += 512) {
    size_t part = count - i < 512 ? count - i : 512;
    size_t bad = narrowRows(from + i, part, field.stored, narrow);
    if (bad != part)
      return i + bad;
    (void)widenRows(narrow, part, field.stored, reinterpret_cast<float *>(to) + i);
  }
  return count;
}

static Status checkDocuments(const msa_bank *bank, const msa_bank_document *documents, size_t count, int64_t &rows) {
  int64_t next = bank->nextNumber;
  rows = 0;
  for (size_t i = 0; i < count; ++i) {
    const msa_bank_document &document = documents[i];
    int64_t number = document.number == -1 ? next : document.number;
    if (number < next || number == INT64_MAX)
      return failure(MSA_INVALID_ARGUMENT, "document %zu has the number %" PRId64 ", expected %" PRId64
                                           " or more: numbers ascend and are never given out again",
                     i, number, next);
    next = number + 1;
    if (document.chunks < 0 || __builtin_add_overflow(rows, document.chunks, &rows) || rows > int64_t(1) << 40)
      return failure(MSA_INVALID_ARGUMENT, "document %zu has %" PRId64 " chunks; expected 0 or more, and at most 2^40 in all", i,
                     document.chunks);
    if ((!document.name && document.name_length) || (!document.text && document.text_length) || (!document.ids && document.id_count))
      return failure(MSA_INVALID_ARGUMENT, "document %zu: its name, text or ids are null but not empty", i);
  }
  return {};
}

static Status checkTensors(const msa_bank *bank, const msa_tensor *tensors, size_t count, int64_t rows) {
  if (count != bank->fields.size())
    return failure(MSA_INVALID_ARGUMENT, "the bank has %zu fields, %zu tensors were given", bank->fields.size(), count);
  for (size_t f = 0; f < count; ++f) {
    const BankField &field = *bank->fields[f];
    const msa_tensor &tensor = tensors[f];
    if (tensor.type != field.givenType() || tensor.rank != field.rowRank + 1 || tensor.shape[0] != rows || (rows && !tensor.data))
      return failure(MSA_INVALID_ARGUMENT, "rows of '%s': expected %s of rank %u with %" PRId64 " rows, found %s of rank %u with %" PRId64,
                     field.name, msa_element_name(field.givenType()), field.rowRank + 1, rows, msa_element_name(tensor.type), tensor.rank,
                     tensor.rank ? tensor.shape[0] : int64_t(0));
    for (uint32_t axis = 1; axis < tensor.rank; ++axis)
      if (tensor.shape[axis] != field.rowShape[axis - 1])
        return failure(MSA_INVALID_ARGUMENT, "rows of '%s': dim %u is %" PRId64 ", expected %" PRId64, field.name, axis,
                       tensor.shape[axis], field.rowShape[axis - 1]);
  }
  return {};
}

static Status add(msa_bank *bank, const msa_bank_document *documents, size_t count, const msa_tensor *tensors, size_t tensorCount) {
  int64_t rows = 0;
  MSA_TRY(checkDocuments(bank, documents, count, rows));
  MSA_TRY(checkTensors(bank, tensors, tensorCount, rows));
  MSA_TRY(bank->reservePlaces(bank->usedPlaces + rows));
  size_t first = bank->chunkDocuments.size();
  if (!bank->chunkDocuments.reserve(first + size_t(rows)) || !bank->records.reserve(bank->records.size() + count))
    return outOfMemory();

  // Beyond usedPlaces nobody reads yet.
  for (size_t f = 0; f < tensorCount; ++f) {
    const BankField &field = *bank->fields[f];
    auto *from = static_cast<const uint8_t *>(tensors[f].data);
    uint64_t givenBytes = field.rowElements * msa_element_size(field.givenType());
    for (int64_t done = 0; done < rows;) {
      int64_t place = bank->usedPlaces + done, room = kSlabRows - place % kSlabRows;
      int64_t part = rows - done < room ? rows - done : room;
      size_t elements = size_t(part) * field.rowElements;
      size_t bad = putRows(field, from + uint64_t(done) * givenBytes, uint64_t(part), field.row(place));
      if (bad != elements)
        return failure(MSA_INVALID_ARGUMENT, "row %" PRId64 " of '%s' holds a value that is not finite as %s",
                       done + int64_t(bad / field.rowElements), field.name, msa_element_name(field.stored));
      done += part;
    }
  }

  size_t recordsBefore = bank->records.size();
  int64_t firstRow = int64_t(first), next = bank->nextNumber;
  uint64_t bytes = 0;
  Status status;
  for (size_t i = 0; i < count && status.ok(); ++i) {
    BankRecord record;
    status = bank->makeRecord(documents[i], record);
    if (!status.ok())
      break;
    if (record.document.number == -1)
      record.document.number = next;
    next = record.document.number + 1;
    record.firstRow = firstRow;
    firstRow += record.document.chunks;
    bytes += record.blockBytes;
    (void)bank->records.push(record); // reserved above
  }
  if (status.ok())
    status = bank->extendRuns(rows);
  if (!status.ok()) {
    while (bank->records.size() > recordsBefore) {
      bank->dropRecord(bank->records.back());
      bank->records.pop();
    }
    return status;
  }
  for (size_t r = recordsBefore; r < bank->records.size(); ++r)
    for (int64_t c = 0; c < bank->records[r].document.chunks; ++c)
      (void)bank->chunkDocuments.push(bank->records[r].document.number); // reserved above
  bank->nextNumber = next;
  bank->recordBytes += bytes;
  return {};
}

msa_status *msa_bank_add(msa_bank *bank, const msa_bank_document *documents, size_t document_count, const msa_tensor *fields,
                         size_t field_count) {
  if (!bank || (document_count && !documents) || (field_count && !fields))
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_add: bank, documents or fields is null").release();
  ExclusiveLock lock(bank);
  return add(bank, documents, document_count, fields, field_count).release();
}

msa_status *msa_bank_remove(msa_bank *bank, int64_t number) {
  if (!bank)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_remove: bank is null").release();
  ExclusiveLock lock(bank);
  int64_t index = bank->find(number);
  if (index < 0)
    return failure(MSA_NOT_FOUND, "the bank has no document %" PRId64, number).release();
  BankRecord record = bank->records[size_t(index)];
  // Cutting a piece out of one run makes at most one more.
  if (!bank->runs.reserve(bank->runs.size() + 1))
    return outOfMemory().release();
  int64_t skip = record.firstRow, left = record.document.chunks;
  for (size_t r = 0; r < bank->runs.size() && left > 0;) {
    BankRun run = bank->runs[r];
    if (skip >= run.rows) {
      skip -= run.rows;
      ++r;
      continue;
    }
    int64_t cut = run.rows - skip < left ? run.rows - skip : left, behind = run.rows - skip - cut;
    left -= cut;
    if (behind && skip) {
      bank->runs[r].rows = skip;
      (void)bank->runs.insert(r + 1, {run.place + skip + cut, behind}); // reserved above
      r += 2;
    } else if (behind) {
      bank->runs[r] = {run.place + cut, behind};
      ++r;
    } else if (skip) {
      bank->runs[r].rows = skip;
      ++r;
    } else {
      bank->runs.erase(r);
    }
    skip = 0;
  }
  size_t rows = bank->chunkDocuments.size(), end = size_t(record.firstRow + record.document.chunks);
  if (rows > end)
    std::memmove(bank->chunkDocuments.data() + record.firstRow, bank->chunkDocuments.data() + end, (rows - end) * sizeof(int64_t));
  (void)bank->chunkDocuments.resize(rows - size_t(record.document.chunks));
  bank->records.erase(size_t(index));
  for (size_t r = size_t(index); r < bank->records.size(); ++r)
    bank->records[r].firstRow -= record.document.chunks;
  bank->recordBytes -= record.blockBytes;
  bank->dropRecord(record);
  Status cleared = bank->forgetRows(record.firstRow);
  if (!cleared.ok())
    return failure(cleared.code(), "document %" PRId64 " is removed, but the copies of its rows on a device could not be cleared: %s", number,
                   cleared.message())
        .release();
  return nullptr;
}

bool msa_bank_find(const msa_bank *bank, int64_t number, msa_bank_document *out_document) {
  SharedLock lock(bank);
  int64_t index = bank->find(number);
  if (index >= 0 && out_document)
    *out_document = bank->records[size_t(index)].document;
  return index >= 0;
}

bool msa_bank_get_document(const msa_bank *bank, int64_t index, msa_bank_document *out_document) {
  SharedLock lock(bank);
  if (index < 0 || uint64_t(index) >= bank->records.size())
    return false;
  *out_document = bank->records[size_t(index)].document;
  return true;
}

void msa_bank_lock_shared(const msa_bank *bank) { pthread_rwlock_rdlock(&bank->lock); }
void msa_bank_unlock_shared(const msa_bank *bank) { pthread_rwlock_unlock(&bank->lock); }

size_t msa_bank_spans(const msa_bank *bank, uint32_t field, msa_row_span *out_spans, size_t capacity) {
  SharedLock lock(bank);
  if (field >= bank->fields.size())
    return 0;
  for (size_t r = 0; r < bank->runs.size() && r < capacity; ++r)
    out_spans[r] = {bank->fields[field]->row(bank->runs[r].place), bank->runs[r].rows};
  return bank->runs.size();
}

const int64_t *msa_bank_chunk_documents(const msa_bank *bank) {
  SharedLock lock(bank);
  return bank->chunkDocuments.empty() ? nullptr : bank->chunkDocuments.data();
}

msa_status *msa_bank_bind(const msa_bank *bank, msa_invocation *invocation) {
  if (!bank || !invocation)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_bind: bank or invocation is null").release();
  SharedLock lock(bank);
  msa_program *program = msa_context_program(msa_invocation_context(invocation));
  uint32_t entry = uint32_t(invocation->entry - program->entries.data()), input = 0;
  Vector<msa_row_span> spans(bank->allocator);
  if (!spans.resize(bank->runs.size()))
    return outOfMemory().release();
  for (BankField *field : bank->fields) {
    if (!msa_program_find_input(program, entry, field->name, &input))
      continue;
    for (size_t r = 0; r < spans.size(); ++r)
      spans[r] = {field->row(bank->runs[r].place), bank->runs[r].rows};
    msa_tensor shape = {};
    shape.type = field->type;
    shape.rank = field->rowRank + 1;
    std::memcpy(shape.shape + 1, field->rowShape, field->rowRank * sizeof(int64_t));
    if (msa_status *status = msa_invocation_bind_input_spans(invocation, input, &shape, spans.data(), spans.size()))
      return status;
    attachRows(invocation, input, field->deviceRows);
  }
  if (!msa_program_find_input(program, entry, "chunk_doc", &input))
    return nullptr;
  msa_tensor numbers = {};
  numbers.data = const_cast<int64_t *>(bank->chunkDocuments.data());
  numbers.type = MSA_I64;
  numbers.rank = 1;
  numbers.shape[0] = int64_t(bank->chunkDocuments.size());
  if (msa_status *status = msa_invocation_bind_input(invocation, input, &numbers))
    return status;
  // Copies on devices are no part of what the bank holds, so a bank that is only read may keep them.
  attachRows(invocation, input, const_cast<msa_bank *>(bank)->deviceChunkDocuments);
  return nullptr;
}

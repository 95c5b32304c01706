// SPDX-License-Identifier: Apache-2.0
//
// A bank as a file, `BANK` in a directory of its own. Little-endian, in this order and without gaps:
//
//   header     magic "MSABANK\n", version, sizes, fingerprint of the model, digests of the sections, digest of the header
//   fields     per field: name (64 bytes, zero behind it), rank of a row, its own type (1.1), dims
//   documents  per document: number, chunks, lengths of name, text and ids
//   strings    per document: name, text
//   ids        per document: int32 tokens
//   rows       per field: all rows, in the field's own type where it has one, else in the storage type
//
// Version 1.1 has fields with a type of their own: routing keys of f8e4m3fn, and their scales of f32. A bank without them is written as 1.0.
//
// A reader trusts nothing: every size is checked against the file's before memory is taken for it, and every byte is under a
// digest, so what loads is what was saved. The digests tell damage from health; they do not stop someone who writes a new file.

#include "runtime/bank/bank.h"
#include "runtime/bank/row_type.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace msa::rt;

namespace {

constexpr char kMagic[8] = {'M', 'S', 'A', 'B', 'A', 'N', 'K', '\n'};
constexpr uint32_t kMajor = 1, kMinor = 1;
constexpr char kName[] = "BANK", kPartialName[] = "BANK.partial";

struct FileSection {
  uint64_t size;
  uint64_t digest; // XXH3, 64 bits
};

struct FileHeader {
  char magic[8];
  uint32_t major;
  uint32_t minor;
  uint32_t storage; // msa_element_type
  uint32_t fieldCount;
  uint8_t hasFingerprint;
  uint8_t zero[7];
  uint8_t fingerprint[32];
  uint64_t rows;
  uint64_t documentCount;
  int64_t nextNumber;
  FileSection fields, documents, strings, ids, rowData;
  uint64_t digest; // of everything before
};
static_assert(sizeof(FileHeader) == 8 + 4 * 4 + 8 + 32 + 3 * 8 + 5 * 16 + 8);

struct FileField {
  char name[kMaxFieldName + 1];
  uint32_t rowRank;
  uint32_t ownType; // 1 + msa_element_type; 0: the storage type
  int64_t rowShape[MSA_MAX_RANK - 1];
};

struct FileDocument {
  int64_t number, chunks;
  uint64_t nameLength, textLength, idCount;
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bank files are little-endian");

bool hasOwnType(const msa_bank &bank, const BankField &field) { return field.stored != bank.storage || field.type == MSA_F8E4M3FN; }

class FileDescriptor {
public:
  explicit FileDescriptor(int descriptor) : descriptor(descriptor) {}
  ~FileDescriptor() {
    if (descriptor >= 0)
      close(descriptor);
  }
  FileDescriptor(const FileDescriptor &) = delete;
  int get() const { return descriptor; }

private:
  int descriptor;
};

Status ioFailure(const char *what, const char *directory, const char *name) {
  return failure(MSA_IO, "cannot %s '%s/%s': %s", what, directory, name, strerror(errno));
}

/// Bytes to a file, in pieces, with a digest per section.
class Writer {
public:
  explicit Writer(int descriptor) : descriptor(descriptor) { XXH3_64bits_reset(&digest); }

  bool put(const void *bytes, uint64_t size) {
    if (size)
      XXH3_64bits_update(&digest, bytes, size);
    sectionSize += size;
    auto *at = static_cast<const uint8_t *>(bytes);
    while (size) {
      size_t part = size < sizeof buffer - used ? size_t(size) : sizeof buffer - used;
      std::memcpy(buffer + used, at, part);
      used += part, at += part, size -= part;
      if (used == sizeof buffer && !flush())
        return false;
    }
    return true;
  }
  FileSection endSection() {
    FileSection section = {sectionSize, XXH3_64bits_digest(&digest)};
    XXH3_64bits_reset(&digest);
    sectionSize = 0;
    return section;
  }
  bool flush() {
    for (size_t done = 0; done < used;) {
      ssize_t written = write(descriptor, buffer + done, used - done);
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return false;
      done += size_t(written);
    }
    used = 0;
    return true;
  }

private:
  int descriptor;
  uint64_t sectionSize = 0;
  XXH3_state_t digest;
  size_t used = 0;
  uint8_t buffer[1 << 16];
};

bool putRows(Writer &writer, const msa_bank &bank, const BankField &field) {
  uint16_t narrow[4096];
  for (const BankRun &run : bank.runs) {
    const uint8_t *rows = field.row(run.place);
    uint64_t count = uint64_t(run.rows) * field.rowElements;
    if (field.type == field.stored) {
      if (!writer.put(rows, count * msa_element_size(field.stored)))
        return false;
      continue;
    }
    for (uint64_t i = 0; i < count; i += 4096) {
      size_t part = count - i < 4096 ? size_t(count - i) : 4096;
      (void)narrowRows(reinterpret_cast<const float *>(rows) + i, part, field.stored, narrow); // exact: rounded when added
      if (!writer.put(narrow, part * sizeof *narrow))
        return false;
    }
  }
  return true;
}

bool putAll(Writer &writer, const msa_bank &bank, FileHeader &header) {
  bool good = writer.put(&header, sizeof header);
  writer.endSection();
  for (const BankField *field : bank.fields) {
    FileField out = {};
    std::memcpy(out.name, field->name, sizeof out.name);
    out.rowRank = field->rowRank;
    out.ownType = hasOwnType(bank, *field) ? 1 + uint32_t(field->stored) : 0;
    std::memcpy(out.rowShape, field->rowShape, sizeof out.rowShape);
    good = good && writer.put(&out, sizeof out);
  }
  header.fields = writer.endSection();
  for (const BankRecord &record : bank.records) {
    const msa_bank_document &d = record.document;
    FileDocument out = {d.number, d.chunks, d.name_length, d.text_length, d.id_count};
    good = good && writer.put(&out, sizeof out);
  }
  header.documents = writer.endSection();
  for (const BankRecord &record : bank.records)
    good = good && writer.put(record.document.name, record.document.name_length) &&
           writer.put(record.document.text, record.document.text_length);
  header.strings = writer.endSection();
  for (const BankRecord &record : bank.records)
    good = good && writer.put(record.document.ids, record.document.id_count * sizeof(int32_t));
  header.ids = writer.endSection();
  for (const BankField *field : bank.fields)
    good = good && putRows(writer, bank, *field);
  header.rowData = writer.endSection();
  return good && writer.flush();
}

bool overwriteStart(int descriptor, const FileHeader &header) {
  auto *bytes = reinterpret_cast<const uint8_t *>(&header);
  for (size_t done = 0; done < sizeof header;) {
    ssize_t written = pwrite(descriptor, bytes + done, sizeof header - done, off_t(done));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    done += size_t(written);
  }
  return true;
}

Status save(const msa_bank &bank, const char *directory) {
  if (mkdir(directory, 0777) != 0 && errno != EEXIST)
    return failure(MSA_IO, "cannot create the directory '%s': %s", directory, strerror(errno));
  FileDescriptor folder(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0)
    return failure(MSA_IO, "cannot open the directory '%s': %s", directory, strerror(errno));
  // Not truncated before the lock is ours: another process may be writing to it.
  FileDescriptor file(openat(folder.get(), kPartialName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666));
  struct stat about;
  if (file.get() < 0 || fstat(file.get(), &about) != 0)
    return ioFailure("write", directory, kPartialName);
  if (!S_ISREG(about.st_mode))
    return failure(MSA_IO, "cannot write '%s/%s': it is not a regular file", directory, kPartialName);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return failure(MSA_FAILED_PRECONDITION, "another process is saving to '%s' at this moment; try again when it has ended", directory);
  // The former holder of the lock may have renamed the file since it was opened: then it is the bank itself.
  struct stat named;
  if (fstatat(folder.get(), kPartialName, &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_ino != about.st_ino ||
      named.st_dev != about.st_dev)
    return failure(MSA_FAILED_PRECONDITION, "another process has just saved to '%s'; load the bank again", directory);
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.major = kMajor;
  for (const BankField *field : bank.fields)
    if (hasOwnType(bank, *field))
      header.minor = kMinor;
  header.storage = uint32_t(bank.storage);
  header.fieldCount = uint32_t(bank.fields.size());
  header.hasFingerprint = bank.hasFingerprint;
  std::memcpy(header.fingerprint, bank.fingerprint, sizeof header.fingerprint);
  header.rows = bank.chunkDocuments.size();
  header.documentCount = bank.records.size();
  header.nextNumber = bank.nextNumber;
  auto *writer = bank.allocator.create<Writer>(file.get());
  if (!writer)
    return outOfMemory();
  bool good = ftruncate(file.get(), 0) == 0 && putAll(*writer, bank, header);
  int reason = errno;
  bank.allocator.destroy(writer);
  errno = reason;
  if (good) {
    header.digest = XXH3_64bits(&header, offsetof(FileHeader, digest));
    good = overwriteStart(file.get(), header) && fsync(file.get()) == 0 &&
           renameat(folder.get(), kPartialName, folder.get(), kName) == 0 && fsync(folder.get()) == 0;
  }
  if (!good) {
    Status status = ioFailure("save", directory, kName);
    unlinkat(folder.get(), kPartialName, 0);
    return status;
  }
  return {};
}

/// The file from start to end, in pieces, with a digest per section.
class Reader {
public:
  Reader(int descriptor, const char *directory, uint64_t fileSize) : descriptor(descriptor), directory(directory), left(fileSize) {
    XXH3_64bits_reset(&digest);
  }

  Status get(void *bytes, uint64_t size) {
    if (size > left)
      return damaged("it is truncated");
    auto *at = static_cast<uint8_t *>(bytes);
    for (uint64_t done = 0; done < size;) {
      size_t wanted = size - done < (1u << 30) ? size_t(size - done) : size_t(1) << 30;
      ssize_t count = read(descriptor, at + done, wanted);
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        return ioFailure("read", directory, kName);
      if (count == 0)
        return damaged("it is truncated");
      done += uint64_t(count);
    }
    left -= size;
    if (size)
      XXH3_64bits_update(&digest, bytes, size);
    return {};
  }
  Status endSection(const char *what, const FileSection &section) {
    if (XXH3_64bits_digest(&digest) != section.digest)
      return failure(MSA_INVALID_ARTIFACT, "'%s/%s' is damaged: the digest of its %s does not match; add the documents again or copy "
                                           "the file again",
                     directory, kName, what);
    XXH3_64bits_reset(&digest);
    return {};
  }
  void restart() { XXH3_64bits_reset(&digest); }
  Status damaged(const char *detail) const {
    return failure(MSA_INVALID_ARTIFACT, "'%s/%s' is damaged: %s; add the documents again or copy the file again", directory, kName,
                   detail);
  }

private:
  int descriptor;
  const char *directory;
  uint64_t left;
  XXH3_state_t digest;
};

/// Sizes that the header gives, against each other and the file's.
bool sizesAgree(const FileHeader &header, uint64_t fileSize) {
  uint64_t total = sizeof header;
  for (const FileSection *section : {&header.fields, &header.documents, &header.strings, &header.ids, &header.rowData})
    if (__builtin_add_overflow(total, section->size, &total))
      return false;
  return total == fileSize && header.fields.size == header.fieldCount * sizeof(FileField) &&
         header.documentCount <= fileSize / sizeof(FileDocument) &&
         header.documents.size == header.documentCount * sizeof(FileDocument);
}

Status readFields(Reader &reader, const FileHeader &header, const msa_bank &bank, const char *directory) {
  for (uint32_t f = 0; f < header.fieldCount; ++f) {
    FileField in;
    MSA_TRY(reader.get(&in, sizeof in));
    if (f >= bank.fields.size())
      continue;
    const BankField &field = *bank.fields[f];
    uint32_t ownType = hasOwnType(bank, field) ? 1 + uint32_t(field.stored) : 0;
    if (std::memcmp(in.name, field.name, sizeof in.name) != 0 || in.rowRank != field.rowRank || in.ownType != ownType ||
        std::memcmp(in.rowShape, field.rowShape, sizeof in.rowShape) != 0)
      return failure(MSA_INVALID_ARGUMENT, "the bank in '%s' has another layout than the artifact: field %u is not '%s' with the same row and type; "
                                           "use the artifact that it was made with, or make a new bank",
                     directory, f, field.name);
  }
  if (header.fieldCount != bank.fields.size())
    return failure(MSA_INVALID_ARGUMENT, "the bank in '%s' has %u fields, the artifact has %zu; use the artifact that it was made with, or "
                                         "make a new bank",
                   directory, header.fieldCount, bank.fields.size());
  return reader.endSection("fields", header.fields);
}

Status readDocuments(Reader &reader, const FileHeader &header, msa_bank &bank) {
  if (!bank.records.reserve(size_t(header.documentCount)))
    return outOfMemory();
  uint64_t strings = 0, ids = 0, rows = 0;
  int64_t next = 0;
  for (uint64_t i = 0; i < header.documentCount; ++i) {
    FileDocument in;
    MSA_TRY(reader.get(&in, sizeof in));
    uint64_t idBytes = 0;
    if (in.number < next || in.number >= header.nextNumber || in.chunks < 0 || __builtin_add_overflow(rows, uint64_t(in.chunks), &rows) ||
        rows > header.rows || __builtin_add_overflow(strings, in.nameLength, &strings) ||
        __builtin_add_overflow(strings, in.textLength, &strings) || strings > header.strings.size ||
        __builtin_mul_overflow(in.idCount, sizeof(int32_t), &idBytes) || __builtin_add_overflow(ids, idBytes, &ids) ||
        ids > header.ids.size)
      return reader.damaged("its table of documents contradicts its header");
    next = in.number + 1;
    BankRecord record = {};
    record.document.number = in.number;
    record.document.chunks = in.chunks;
    record.document.name_length = size_t(in.nameLength);
    record.document.text_length = size_t(in.textLength);
    record.document.id_count = size_t(in.idCount);
    record.document.name = record.document.text = "";
    record.firstRow = int64_t(rows) - in.chunks;
    (void)bank.records.push(record); // reserved above
  }
  if (strings != header.strings.size || ids != header.ids.size || rows != header.rows)
    return reader.damaged("its table of documents contradicts its header");
  return reader.endSection("table of documents", header.documents);
}

Status readTexts(Reader &reader, const FileHeader &header, msa_bank &bank) {
  // Sizes add up to those of the file, so this cannot take more memory than it has bytes.
  for (BankRecord &record : bank.records) {
    msa_bank_document &d = record.document;
    record.blockBytes = d.id_count * sizeof(int32_t) + d.name_length + d.text_length;
    if (!record.blockBytes)
      continue;
    record.block = static_cast<uint8_t *>(bank.allocator.allocate(record.blockBytes, 16));
    if (!record.block)
      return outOfMemory();
    bank.recordBytes += record.blockBytes;
    auto *strings = reinterpret_cast<char *>(record.block) + d.id_count * sizeof(int32_t);
    d.ids = reinterpret_cast<const int32_t *>(record.block);
    d.name = strings;
    d.text = strings + d.name_length;
    MSA_TRY(reader.get(strings, d.name_length + d.text_length));
  }
  MSA_TRY(reader.endSection("texts", header.strings));
  for (BankRecord &record : bank.records)
    MSA_TRY(reader.get(record.block, record.document.id_count * sizeof(int32_t)));
  return reader.endSection("token ids", header.ids);
}

Status readRows(Reader &reader, const FileHeader &header, msa_bank &bank) {
  int64_t rows = int64_t(header.rows);
  MSA_TRY(bank.reservePlaces(rows));
  uint16_t narrow[4096];
  for (const BankField *field : bank.fields)
    for (int64_t place = 0; place < rows; place += kSlabRows) {
      uint64_t count = uint64_t(rows - place < kSlabRows ? rows - place : kSlabRows) * field->rowElements;
      uint8_t *to = field->row(place);
      if (field->type == field->stored) {
        MSA_TRY(reader.get(to, count * msa_element_size(field->stored)));
        if (!allFinite(to, size_t(count), field->stored))
          return reader.damaged("a row holds a value that is not finite");
        continue;
      }
      for (uint64_t i = 0; i < count; i += 4096) {
        size_t part = count - i < 4096 ? size_t(count - i) : 4096;
        MSA_TRY(reader.get(narrow, part * sizeof *narrow));
        if (widenRows(narrow, part, field->stored, reinterpret_cast<float *>(to) + i) != part)
          return reader.damaged("a row holds a value that is not finite");
      }
    }
  MSA_TRY(reader.endSection("rows", header.rowData));
  if (!bank.chunkDocuments.reserve(size_t(rows)))
    return outOfMemory();
  for (const BankRecord &record : bank.records)
    for (int64_t c = 0; c < record.document.chunks; ++c)
      (void)bank.chunkDocuments.push(record.document.number); // reserved above
  bank.nextNumber = header.nextNumber;
  return bank.extendRuns(rows);
}

Status openBank(const char *directory, int &descriptor, uint64_t &size) {
  FileDescriptor folder(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0)
    return failure(errno == ENOENT ? MSA_NOT_FOUND : MSA_IO, "cannot open the bank directory '%s': %s", directory, strerror(errno));
  descriptor = openat(folder.get(), kName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT)
    return failure(MSA_NOT_FOUND, "there is no bank in '%s': it has no file BANK", directory);
  struct stat about;
  if (descriptor < 0 || fstat(descriptor, &about) != 0)
    return ioFailure("open", directory, kName);
  if (!S_ISREG(about.st_mode))
    return failure(MSA_INVALID_ARTIFACT, "'%s/%s' is not a regular file", directory, kName);
  size = uint64_t(about.st_size);
  return {};
}

Status load(msa_program *program, const char *directory, msa_bank *&out) {
  int descriptor = -1;
  uint64_t size = 0;
  Status opened = openBank(directory, descriptor, size);
  FileDescriptor file(descriptor);
  MSA_TRY(std::move(opened));
  Reader reader(file.get(), directory, size);
  FileHeader header;
  if (size < sizeof header)
    return reader.damaged("it is truncated");
  MSA_TRY(reader.get(&header, sizeof header));
  reader.restart();
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    return failure(MSA_INVALID_ARTIFACT, "'%s/%s' is not a memory bank: expected it to start with \"MSABANK\"", directory, kName);
  if (header.digest != XXH3_64bits(&header, offsetof(FileHeader, digest)))
    return reader.damaged("the digest of its header does not match");
  if (header.major != kMajor || header.minor > kMinor)
    return failure(MSA_UNSUPPORTED, "the bank in '%s' has format version %u.%u, this runtime reads %u.%u", directory, header.major,
                   header.minor, kMajor, kMinor);
  if (!sizesAgree(header, size) || header.nextNumber < 0)
    return reader.damaged("the sizes in its header contradict each other");
  msa_runtime *runtime = msa_program_runtime(program);
  out = runtime->allocator.create<msa_bank>(runtime);
  if (!out)
    return outOfMemory();
  msa_bank &bank = *out;
  if (header.storage != MSA_F32 && header.storage != MSA_F16 && header.storage != MSA_BF16)
    return reader.damaged("its storage type does not exist");
  MSA_TRY(bank.describe(program, msa_element_type(header.storage)));
  if (bool(header.hasFingerprint) != bank.hasFingerprint ||
      std::memcmp(header.fingerprint, bank.fingerprint, sizeof bank.fingerprint) != 0)
    return failure(MSA_INVALID_ARGUMENT, "the bank in '%s' was made by another model than this artifact's (their fingerprints differ); use "
                                         "the artifact that it was made with, or make a new bank",
                   directory);
  MSA_TRY(readFields(reader, header, bank, directory));
  uint64_t rowBytes = 0, total = 0;
  for (const BankField *field : bank.fields)
    rowBytes += field->storedRowBytes();
  if (__builtin_mul_overflow(rowBytes, header.rows, &total) || total != header.rowData.size)
    return reader.damaged("the sizes in its header contradict each other");
  MSA_TRY(readDocuments(reader, header, bank));
  MSA_TRY(readTexts(reader, header, bank));
  return readRows(reader, header, bank);
}

} // namespace

msa_status *msa_bank_save(const msa_bank *bank, const char *directory) {
  if (!bank || !directory)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_save: bank or directory is null").release();
  SharedLock lock(bank);
  return save(*bank, directory).release();
}

msa_status *msa_bank_load(msa_program *program, const char *directory, msa_bank **out_bank) {
  if (out_bank)
    *out_bank = nullptr;
  if (!program || !directory || !out_bank)
    return failure(MSA_INVALID_ARGUMENT, "msa_bank_load: program, directory or out_bank is null").release();
  msa_bank *bank = nullptr;
  Status status = load(program, directory, bank);
  if (!status.ok()) {
    msa_bank_release(bank);
    return status.release();
  }
  *out_bank = bank;
  return nullptr;
}

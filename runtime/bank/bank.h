// SPDX-License-Identifier: Apache-2.0
//
// The msa_bank handle: fields in slabs that never move, runs of rows in use, documents.

#ifndef MSA_RUNTIME_BANK_BANK_H
#define MSA_RUNTIME_BANK_BANK_H

#include "msa/bank.h"
#include "runtime/device_rows.h"
#include "runtime/runtime.h"
#include "runtime/status.h"

#include <pthread.h>

namespace msa::rt {

/// Rows of one slab. A power of two; a run of rows never crosses a slab.
inline constexpr int64_t kSlabRows = 16384;
inline constexpr size_t kMaxFieldName = 63;
inline constexpr uint32_t kMaxFields = 4096;

struct BankField {
  explicit BankField(msa_runtime *runtime) : slabs(runtime->allocator), deviceRows(runtime) {}

  char name[kMaxFieldName + 1] = {};
  msa_element_type type = MSA_F32;   // in memory
  msa_element_type stored = MSA_F32; // in a file; values in memory are values of this type too
  uint32_t rowRank = 0;
  int64_t rowShape[MSA_MAX_RANK - 1] = {};
  uint64_t rowElements = 1;
  Vector<uint8_t *> slabs;
  DeviceRows deviceRows;

  uint64_t rowBytes() const { return rowElements * msa_element_size(type); }
  uint64_t storedRowBytes() const { return rowElements * msa_element_size(stored); }
  /// What encode gives and msa_bank_add takes.
  msa_element_type givenType() const { return type == MSA_F8E4M3FN ? type : MSA_F32; }
  uint8_t *row(int64_t place) const {
    return slabs[size_t(place / kSlabRows)] + uint64_t(place % kSlabRows) * rowBytes();
  }
};

/// Rows in use that lie one after the other in one slab. Places count through all slabs.
struct BankRun {
  int64_t place;
  int64_t rows;
};

struct BankRecord {
  msa_bank_document document; // strings and ids point into |block|
  uint8_t *block;
  uint64_t blockBytes;
  int64_t firstRow; // in the bank's order
};

} // namespace msa::rt

struct msa_bank {
  explicit msa_bank(msa_runtime *runtime)
      : runtime(msa_runtime_retain(runtime)), allocator(runtime->allocator), fields(allocator), runs(allocator),
        chunkDocuments(allocator), deviceChunkDocuments(runtime), records(allocator) {
    pthread_rwlock_init(&lock, nullptr);
  }
  ~msa_bank();

  /// Takes fields and fingerprint from |program|; the bank must be new.
  msa::rt::Status describe(msa_program *program, msa_element_type storage);
  /// Slabs for |wanted| places. What was allocated before a failure stays and is used later.
  msa::rt::Status reservePlaces(int64_t wanted);
  /// A record that owns copies of what |document| points to. |bytes| are counted on success.
  msa::rt::Status makeRecord(const msa_bank_document &document, msa::rt::BankRecord &out);
  void dropRecord(const msa::rt::BankRecord &record);
  /// Runs after |rows| more rows; fails without effect.
  msa::rt::Status extendRuns(int64_t rows);
  /// Says which fields are read and which are searched: routing keys are `mem_rk.*` and their scales, or, of a model without those,
  /// `mem_k.*`.
  void placeFields();
  /// Rows from |first| on are gone or move: clears their copies on devices.
  msa::rt::Status forgetRows(int64_t first);
  /// Index of document |number|, or -1.
  int64_t find(int64_t number) const;

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  const msa::rt::Allocator &allocator;
  mutable pthread_rwlock_t lock;

  msa_element_type storage = MSA_F32;
  bool hasFingerprint = false;
  uint8_t fingerprint[32] = {};
  msa::rt::Vector<msa::rt::BankField *> fields;
  msa::rt::Vector<msa::rt::BankRun> runs;
  msa::rt::Vector<int64_t> chunkDocuments;
  msa::rt::DeviceRows deviceChunkDocuments;
  msa::rt::Vector<msa::rt::BankRecord> records;
  int64_t usedPlaces = 0; // of the slabs, rows of removed documents included
  int64_t nextNumber = 0;
  uint64_t recordBytes = 0;
};

namespace msa::rt {

class SharedLock {
public:
  explicit SharedLock(const msa_bank *bank) : bank(bank) { pthread_rwlock_rdlock(&bank->lock); }
  ~SharedLock() { pthread_rwlock_unlock(&bank->lock); }
  SharedLock(const SharedLock &) = delete;

private:
  const msa_bank *bank;
};

class ExclusiveLock {
public:
  explicit ExclusiveLock(msa_bank *bank) : bank(bank) { pthread_rwlock_wrlock(&bank->lock); }
  ~ExclusiveLock() { pthread_rwlock_unlock(&bank->lock); }
  ExclusiveLock(const ExclusiveLock &) = delete;

private:
  msa_bank *bank;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_BANK_BANK_H

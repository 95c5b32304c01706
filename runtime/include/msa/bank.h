// SPDX-License-Identifier: Apache-2.0
//
// Memory bank: the rows that encoded documents left, and what belongs to them. Part of the runtime core; kept in memory, saved to
// and loaded from a directory as a whole.
//
//   msa_bank_create(program, NULL, &bank);            // shape of rows and fingerprint come from the artifact
//   msa_bank_add(bank, documents, n, rows, fields);   // what entry `encode` gave
//   msa_bank_bind(bank, invocation);                  // every mem_* input as spans, and chunk_doc
//
// A bank has a *field* for every output mem_* of entry `encode`; all fields have one row per chunk, in the order of the documents.
// Rows lie in slabs that never move: what msa_bank_spans gave stays readable until the bank is released, even while documents are
// added. Row i belongs to document msa_bank_chunk_documents()[i].
//
// Numbers. A document's number stands in its own encoded text, so it never changes and is never given out again: removing document 3
// leaves a gap, and the next one gets the highest number that there ever was plus one. Numbers ascend in the bank's order.
//
// Storage type. Rows are rounded to the bank's storage type (f32, f16, bf16; to nearest, ties to even) when they are added, and a
// file holds them in that type. In memory they have the type that the artifact reads (msa_bank_field.type): where that is f32, a
// bank stored as f16 or bf16 has half the size on disk, and the full size in memory.
//
// Small routing keys. An artifact compiled with --routing-keys=e4m3 gives and reads the fields mem_rk.* as f8e4m3fn, each with a field of
// scales mem_rk_scale.*, f32 [rows, 1, 1]: a key is its scale times its elements. Both are given, kept and stored as they are.
//
// GPUs. A program on a GPU reads copies of the rows there, which the bank keeps: each row is uploaded once, by the first run after it was
// added. Routing keys (fields mem_rk.*, or mem_k.* where there are none) are in the GPU's memory, the rest there or in pinned memory of
// the host (msa_program_options.bank_content).
//
// Ownership law and statuses are those of msa/msa.h.

#ifndef MSA_BANK_H
#define MSA_BANK_H

#include "msa/msa.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Thread-safe but for what msa_bank_document and pointers into it say: every function takes the bank's lock itself. Someone who
/// must see one state over several calls holds it shared (msa_bank_lock_shared); adding and removing wait for that.
typedef struct msa_bank msa_bank;

typedef struct msa_bank_options {
  size_t struct_size; // set by msa_bank_options_initialize
  /// MSA_F32 (default), MSA_F16 or MSA_BF16. An artifact that reads its rows as f16 or bf16 makes a bank of that type by default,
  /// and of no other.
  msa_element_type storage;
} msa_bank_options;

MSA_API void msa_bank_options_initialize(msa_bank_options *options);

/// An empty bank for the documents that |program| encodes. |options| NULL: the defaults. Codes: MSA_INVALID_ARGUMENT (no entry
/// `encode` with mem_* outputs, or a storage type that is not one), MSA_UNSUPPORTED, MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_bank_create(msa_program *program, const msa_bank_options *options, msa_bank **out_bank);
MSA_API msa_bank *msa_bank_retain(msa_bank *bank);
MSA_API void msa_bank_release(msa_bank *bank);

typedef struct msa_bank_field {
  const char *name;       // "mem_k.2"
  msa_element_type type;  // in memory, as spans give it
  uint32_t row_rank;      // dims of one row
  int64_t row_shape[MSA_MAX_RANK - 1];
} msa_bank_field;

MSA_API uint32_t msa_bank_field_count(const msa_bank *bank);
/// False past the end.
MSA_API bool msa_bank_get_field(const msa_bank *bank, uint32_t index, msa_bank_field *out_field);
MSA_API msa_element_type msa_bank_storage(const msa_bank *bank);
/// Whether the bank was made for |program|: equal fingerprints and fields.
MSA_API bool msa_bank_fits(const msa_bank *bank, const msa_program *program);

typedef struct msa_bank_size {
  int64_t documents;
  int64_t rows;           // chunks
  int64_t next_number;    // that a document which is added now gets
  uint64_t memory_bytes;  // held for rows (whole slabs), numbers, texts and ids
  uint64_t row_bytes;     // of all fields, rows in use only, as they lie in memory
  uint64_t stored_bytes;  // the same as a file holds it
} msa_bank_size;

MSA_API void msa_bank_get_size(const msa_bank *bank, msa_bank_size *out_size);

//===----------------------------------------------------------------------===//
// Documents
//===----------------------------------------------------------------------===//

/// Strings are not ended by NUL and may hold any bytes. What a bank gives out is valid until the document is removed or the bank is
/// released.
typedef struct msa_bank_document {
  int64_t number; // adding: -1 for the next one
  int64_t chunks; // rows, at least 0
  const char *name; // for people: a file's name, a title; may be empty
  size_t name_length;
  const char *text; // as it was before it was wrapped by a template; may be empty
  size_t text_length;
  const int32_t *ids; // tokens that were encoded
  size_t id_count;
} msa_bank_document;

/// Appends |document_count| documents and their rows: |fields| holds a tensor for every field, [chunks of all, row shape...] of f32, or
/// of f8e4m3fn where that is the field's type, in the bank's order of fields. Everything is copied. On failure nothing has changed. Codes: MSA_INVALID_ARGUMENT (a number that is
/// not above those before it, tensors of another shape, values that are not finite or too large for the storage type),
/// MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_bank_add(msa_bank *bank, const msa_bank_document *documents, size_t document_count,
                                               const msa_tensor *fields, size_t field_count);
/// Takes document |number| out. Its rows' memory is reused after a save and load; copies of its rows on GPUs are overwritten before this
/// returns. Codes: MSA_NOT_FOUND, MSA_OUT_OF_MEMORY; MSA_DEVICE_FAILED: the document is out, but a GPU could not be told.
MSA_NODISCARD MSA_API msa_status *msa_bank_remove(msa_bank *bank, int64_t number);
/// False when there is no document |number|.
MSA_API bool msa_bank_find(const msa_bank *bank, int64_t number, msa_bank_document *out_document);
/// The document at |index| in the bank's order; false past the end.
MSA_API bool msa_bank_get_document(const msa_bank *bank, int64_t index, msa_bank_document *out_document);

//===----------------------------------------------------------------------===//
// Reading rows
//===----------------------------------------------------------------------===//

/// Keeps documents from being added and removed until msa_bank_unlock_shared. Any number of threads may hold it at once; a thread
/// that does must not change the bank.
MSA_API void msa_bank_lock_shared(const msa_bank *bank);
MSA_API void msa_bank_unlock_shared(const msa_bank *bank);

/// Rows of field |field| in order: writes at most |capacity| spans to |out_spans| and returns how many there are.
MSA_API size_t msa_bank_spans(const msa_bank *bank, uint32_t field, msa_row_span *out_spans, size_t capacity);
/// The document number of every row; valid until the bank changes. NULL when there is no row.
MSA_API const int64_t *msa_bank_chunk_documents(const msa_bank *bank);

/// Binds every input of |invocation| that is called like a field, and `chunk_doc`. The bindings are valid until the bank changes,
/// so hold it shared from here to the end of the run. Codes: MSA_INVALID_ARGUMENT (the entry reads another shape or type),
/// MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_bank_bind(const msa_bank *bank, msa_invocation *invocation);

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

/// Writes the bank to |directory|/BANK, which must be on a file system with atomic renames: after a failure or a power cut either
/// the former file is there whole or the new one is. Creates |directory| where only its last part is missing. Codes: MSA_IO,
/// MSA_FAILED_PRECONDITION (another process is saving to it).
MSA_NODISCARD MSA_API msa_status *msa_bank_save(const msa_bank *bank, const char *directory);

/// Reads what msa_bank_save wrote and verifies all of it. |program| must be the one that the documents were encoded with, of equal
/// fingerprint. Codes: MSA_NOT_FOUND (no bank there), MSA_IO, MSA_INVALID_ARTIFACT (damaged), MSA_UNSUPPORTED (a newer version),
/// MSA_INVALID_ARGUMENT (made by another model), MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_bank_load(msa_program *program, const char *directory, msa_bank **out_bank);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // MSA_BANK_H

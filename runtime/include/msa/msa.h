// SPDX-License-Identifier: Apache-2.0
//
// C API of the MSA runtime: load a compiled artifact, run its entries.
//
//   runtime ──▶ program ──▶ context ──▶ invocation        buffer, cancel token, profile: beside them
//   threads,    one file:   memory of   one entry with
//   allocator   code and    one con-    its inputs and
//               weights     versation   outputs bound
//
// Ownership law
//   * What a `*_create` or `*_load_*` function puts into its out parameter is yours: give it back with `*_release`.
//   * What an accessor returns (names, tensors, segments) is not: it belongs to the handle asked, and lives as long as that handle
//     unless the comment says less.
//   * A handle keeps alive what it was made from, so handles may be released in any order. `*_retain` adds an owner.
//   * Memory that you bind stays yours and must live and keep still until the run that uses it has returned.
//   * On failure an out parameter of a create function is set to NULL and nothing is left to release.
//
// Threads
//   * *Thread-safe*: any thread, any time. *Thread-compatible*: any thread, one at a time; different objects do not disturb each
//     other. Every handle says which one it is. retain and release are thread-safe for all handles.
//
// There is no global state, no exception crosses this interface, and no input makes it abort.

#ifndef MSA_MSA_H
#define MSA_MSA_H

#include "msa/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSA_VERSION_MAJOR 1
#define MSA_VERSION_MINOR 1
/// Version of the artifact format that this runtime reads: major equal, minor not newer (runtime/schema/README.md).
#define MSA_FORMAT_MAJOR 1
#define MSA_FORMAT_MINOR 2

#ifdef __cplusplus
extern "C" {
#endif

/// "1.1", the version of the library itself.
MSA_API const char *msa_version(void);

//===----------------------------------------------------------------------===//
// Elements and tensors
//===----------------------------------------------------------------------===//

typedef enum msa_element_type MSA_ENUM_BASE {
  MSA_F32 = 0,
  MSA_F16 = 1,
  MSA_BF16 = 2,
  MSA_F64 = 3,
  MSA_I8 = 4,
  MSA_I16 = 5,
  MSA_I32 = 6,
  MSA_I64 = 7,
  MSA_U8 = 8,
  MSA_U16 = 9,
  MSA_U32 = 10,
  MSA_U64 = 11,
  MSA_BOOL = 12, // one byte, 0 or 1
  /// A sign, 4 bits of exponent (bias 7), 3 of mantissa; no infinities, NaN is 0x7f and 0xff, the largest number is 448.
  MSA_F8E4M3FN = 13,
} msa_element_type;

#define MSA_MAX_RANK 8

/// Bytes of one element; 0 for a value outside the enumeration.
MSA_API size_t msa_element_size(msa_element_type type);
/// "f32", "i64", "bool", "f8e4m3fn"...; "unknown" for a value outside the enumeration. Never NULL.
MSA_API const char *msa_element_name(msa_element_type type);

/// Contiguous row-major elements. |data| is aligned to the element size; it may be NULL when a dim is 0.
typedef struct msa_tensor {
  void *data;
  msa_element_type type;
  uint32_t rank;
  int64_t shape[MSA_MAX_RANK];
} msa_tensor;

/// |rows| contiguous rows at |data|: a part of a tensor whose rows (axis 0) lie in several places.
typedef struct msa_row_span {
  const void *data;
  int64_t rows;
} msa_row_span;

//===----------------------------------------------------------------------===//
// Runtime: threads and memory. Thread-safe.
//===----------------------------------------------------------------------===//

typedef struct msa_runtime msa_runtime;

/// Where memory comes from. Both functions are called from any thread, and must not call back into the runtime.
typedef struct msa_allocator {
  void *user;
  /// |size| > 0 bytes at a multiple of |alignment| (a power of two), or NULL.
  void *(*allocate)(void *user, size_t size, size_t alignment);
  /// Frees what allocate gave, with the same |size| and |alignment|.
  void (*release)(void *user, void *pointer, size_t size, size_t alignment);
} msa_allocator;

typedef enum msa_log_level MSA_ENUM_BASE { MSA_LOG_DEBUG = 0, MSA_LOG_INFO = 1, MSA_LOG_WARNING = 2 } msa_log_level;

/// |message| lives during the call only. Called from any thread. Errors are never logged: they are returned.
typedef void (*msa_log_function)(void *user, msa_log_level level, const char *message);

typedef struct msa_runtime_options {
  size_t struct_size; // set by msa_runtime_options_initialize
  /// Threads that run one invocation, the calling one included: 1 starts none. 0: one for every processor that the calling
  /// thread may run on. At most 1024.
  uint32_t thread_count;
  /// How long an idle worker spins before it sleeps; the default suits the gaps inside one inference.
  uint32_t spin_microseconds;
  /// Processors to pin workers to, |cpu_count| of them, worker i (from 1) to cpus[i % cpu_count]; NULL pins none. The calling
  /// thread is never pinned. Copied.
  const uint32_t *cpus;
  uint32_t cpu_count;
  /// NULL functions: the C heap, with huge pages asked for where blocks are large.
  msa_allocator allocator;
  /// NULL: silence.
  msa_log_function log;
  void *log_user;
} msa_runtime_options;

MSA_API void msa_runtime_options_initialize(msa_runtime_options *options);

/// |options| NULL: the defaults.
MSA_NODISCARD MSA_API msa_status *msa_runtime_create(const msa_runtime_options *options, msa_runtime **out_runtime);
MSA_API msa_runtime *msa_runtime_retain(msa_runtime *runtime);
/// Stops the workers when the last owner and everything made from the runtime are gone.
MSA_API void msa_runtime_release(msa_runtime *runtime);
MSA_API uint32_t msa_runtime_thread_count(const msa_runtime *runtime);
/// The allocator in use: for components that share it. Valid as long as |runtime|.
MSA_API const msa_allocator *msa_runtime_allocator(const msa_runtime *runtime);

//===----------------------------------------------------------------------===//
// Program: one artifact, verified and ready. Immutable, thread-safe.
//===----------------------------------------------------------------------===//

typedef struct msa_program msa_program;

typedef enum msa_verify MSA_ENUM_BASE {
  /// Header, program, every index and command, and the digests of everything but weights and test vectors, which are not read.
  MSA_VERIFY_STRUCTURE = 0,
  /// All of that and the digest of every segment: reads the whole file once.
  MSA_VERIFY_ALL = 1,
} msa_verify;

typedef enum msa_device_kind MSA_ENUM_BASE {
  MSA_DEVICE_CPU = 0,
  /// An NVIDIA GPU, through the driver's library libcuda.so.1, which is looked for when a program first asks for it.
  MSA_DEVICE_CUDA = 1,
} msa_device_kind;

/// Where the rows of a memory bank that are read, not searched, lie for a program on a GPU. Routing keys are always on the GPU.
typedef enum msa_placement MSA_ENUM_BASE {
  MSA_PLACEMENT_DEVICE = 0, // memory of the GPU
  MSA_PLACEMENT_HOST = 1,   // pinned memory of the host, which kernels read over the bus
} msa_placement;

typedef struct msa_program_options {
  size_t struct_size; // set by msa_program_options_initialize
  msa_verify verify;  // default: MSA_VERIFY_ALL
  /// Take this variant ("x86-64-v3") instead of the best that the machine satisfies. Refused when the machine lacks it. NULL: the best.
  const char *variant;
  /// Refuse another format version than this one. 0, 0: any that the runtime reads.
  uint32_t expected_major;
  uint32_t expected_minor;
  /// 32 bytes that the artifact's fingerprint must equal, or NULL.
  const uint8_t *expected_fingerprint;
  // Since 1.1; a caller compiled before passes a smaller struct_size and gets the defaults.
  /// Where the program runs: MSA_DEVICE_CPU (default) or MSA_DEVICE_CUDA. The first variant that the device runs is taken. Refused with
  /// MSA_UNSUPPORTED when there is no driver, no such device, or no variant for it.
  msa_device_kind device;
  /// Of several GPUs the one that the driver counts so, from 0.
  uint32_t device_ordinal;
  /// Where the program would be refused for lack of a device or of a variant for it, and has a variant for this processor, run that,
  /// and say so in the log (MSA_LOG_WARNING) and by msa_program_device.
  bool allow_cpu;
  /// Wait for the GPU after every command: slower, but an error names the command that failed.
  bool device_synchronous;
  /// Run entries without data-dependent lengths as CUDA graphs from their third run on.
  bool device_graphs;
  msa_placement bank_content; // default: MSA_PLACEMENT_DEVICE
} msa_program_options;

MSA_API void msa_program_options_initialize(msa_program_options *options);

/// Maps the file at |path| read-only; it must not change until the program is released. The program table and the kernels are
/// copied before they are verified; weights are used in place. Codes: MSA_NOT_FOUND, MSA_IO, MSA_INVALID_ARTIFACT,
/// MSA_UNSUPPORTED, MSA_OUT_OF_MEMORY.
MSA_NODISCARD MSA_API msa_status *msa_program_load_file(msa_runtime *runtime, const char *path,
                                                        const msa_program_options *options, msa_program **out_program);
/// The same from |size| bytes at |data|, 64-byte aligned, which must live and stay unchanged until the program is released.
MSA_NODISCARD MSA_API msa_status *msa_program_load_memory(msa_runtime *runtime, const void *data, size_t size,
                                                          const msa_program_options *options, msa_program **out_program);
MSA_API msa_program *msa_program_retain(msa_program *program);
MSA_API void msa_program_release(msa_program *program);

MSA_API msa_runtime *msa_program_runtime(const msa_program *program);
MSA_API void msa_program_version(const msa_program *program, uint32_t *out_major, uint32_t *out_minor);
/// Name of the variant that was chosen; "" when the program has no kernels.
MSA_API const char *msa_program_variant(const msa_program *program);
/// Where the program runs.
MSA_API msa_device_kind msa_program_device(const msa_program *program);
/// "NVIDIA H100 80GB HBM3"; "CPU" for a program that runs there.
MSA_API const char *msa_program_device_name(const msa_program *program);
MSA_API uint32_t msa_program_variant_count(const msa_program *program);
/// NULL past the end.
MSA_API const char *msa_program_variant_name(const msa_program *program, uint32_t index);
/// Whether the device of the program can run variant |index|.
MSA_API bool msa_program_variant_supported(const msa_program *program, uint32_t index);
/// 32 bytes, or NULL when the artifact has none.
MSA_API const uint8_t *msa_program_fingerprint(const msa_program *program);
MSA_API uint32_t msa_program_provenance_count(const msa_program *program);
/// False past the end.
MSA_API bool msa_program_provenance(const msa_program *program, uint32_t index, const char **out_key, const char **out_value);

typedef enum msa_segment_kind MSA_ENUM_BASE {
  MSA_SEGMENT_KERNELS = 0,
  MSA_SEGMENT_WEIGHTS = 1,
  MSA_SEGMENT_TOKENIZER = 2,
  MSA_SEGMENT_MODEL_CONFIG = 3,
  MSA_SEGMENT_TEST_VECTORS = 4,
  MSA_SEGMENT_PTX = 5,   // text, ends with a NUL
  MSA_SEGMENT_CUBIN = 6, // the same kernels, assembled for one processor
} msa_segment_kind;

typedef struct msa_segment {
  msa_segment_kind kind;
  const char *name; // "" when it has none
  const void *data;
  uint64_t offset; // in the file
  uint64_t size;   // bytes
} msa_segment;

MSA_API uint32_t msa_program_segment_count(const msa_program *program);
/// False past the end.
MSA_API bool msa_program_segment(const msa_program *program, uint32_t index, msa_segment *out_segment);
/// The first segment of |kind|; false when there is none. The tokenizer and the model configuration are found so.
MSA_API bool msa_program_find_segment(const msa_program *program, msa_segment_kind kind, msa_segment *out_segment);

typedef struct msa_dim {
  int64_t size;     // -1: dynamic
  uint32_t symbol;  // dynamic dims of one entry with the same symbol are equal; UINT32_MAX for static dims
  const char *name; // as in the model ("T", "seq"); "" when it has none
} msa_dim;

/// An input or output of an entry.
typedef struct msa_port {
  const char *name;
  msa_element_type type;
  uint32_t rank;
  msa_dim dims[MSA_MAX_RANK];
  bool spans;            // inputs: may be bound as spans
  uint32_t alias_input;  // outputs: the input whose memory it may share, UINT32_MAX for none
} msa_port;

MSA_API uint32_t msa_program_entry_count(const msa_program *program);
/// NULL past the end.
MSA_API const char *msa_program_entry_name(const msa_program *program, uint32_t entry);
/// False when there is no entry |name|.
MSA_API bool msa_program_find_entry(const msa_program *program, const char *name, uint32_t *out_entry);
/// 0 past the end.
MSA_API uint32_t msa_program_input_count(const msa_program *program, uint32_t entry);
MSA_API uint32_t msa_program_output_count(const msa_program *program, uint32_t entry);
/// False past the end.
MSA_API bool msa_program_input(const msa_program *program, uint32_t entry, uint32_t input, msa_port *out_port);
MSA_API bool msa_program_output(const msa_program *program, uint32_t entry, uint32_t output, msa_port *out_port);
/// False when entry |entry| has no input (output) |name|.
MSA_API bool msa_program_find_input(const msa_program *program, uint32_t entry, const char *name, uint32_t *out_input);
MSA_API bool msa_program_find_output(const msa_program *program, uint32_t entry, const char *name, uint32_t *out_output);

//===----------------------------------------------------------------------===//
// Buffer: rows that grow, for a cache that is input and output at once. Thread-compatible.
//===----------------------------------------------------------------------===//

/// A tensor of shape [rows, row_shape...] in memory of the runtime's allocator, 64-byte aligned, whose capacity grows
/// geometrically. Bound both to an input and to the output that aliases it (msa_port.alias_input), old rows stay where they are
/// and a run only writes the new ones. Must not be touched while a run uses it.
///
/// Bound to an entry of a program on a GPU, its rows live there as well: what the host adds is uploaded when the next run starts, and
/// what runs wrote is downloaded when the host asks for it (msa_buffer_fetch, msa_buffer_tensor, msa_buffer_append).
typedef struct msa_buffer msa_buffer;

/// |row_rank| dims of one row in |row_shape|, at most MSA_MAX_RANK - 1, each at least 1.
MSA_NODISCARD MSA_API msa_status *msa_buffer_create(msa_runtime *runtime, msa_element_type type, uint32_t row_rank,
                                                    const int64_t *row_shape, msa_buffer **out_buffer);
MSA_API msa_buffer *msa_buffer_retain(msa_buffer *buffer);
MSA_API void msa_buffer_release(msa_buffer *buffer);
/// Makes rows that a GPU wrote readable by the host. Codes: MSA_OUT_OF_MEMORY, MSA_DEVICE_FAILED.
MSA_NODISCARD MSA_API msa_status *msa_buffer_fetch(const msa_buffer *buffer);
/// Shape and memory as they are now; valid until the buffer next grows. Fetches; where that fails, |out_tensor|->data is NULL
/// (msa_buffer_fetch says why).
MSA_API void msa_buffer_tensor(const msa_buffer *buffer, msa_tensor *out_tensor);
MSA_API int64_t msa_buffer_rows(const msa_buffer *buffer);
/// Of the host's memory or of a GPU's, whichever is more.
MSA_API int64_t msa_buffer_capacity_rows(const msa_buffer *buffer);
/// Makes room for |rows| in all, on the host and on a GPU that holds rows. On failure no row has changed.
MSA_NODISCARD MSA_API msa_status *msa_buffer_reserve(msa_buffer *buffer, int64_t rows);
/// Adds |rows| rows, copied from |data|. On failure nothing has changed.
MSA_NODISCARD MSA_API msa_status *msa_buffer_append(msa_buffer *buffer, const void *data, int64_t rows);
/// Drops rows from the end until |rows| are left; keeps the memory.
MSA_NODISCARD MSA_API msa_status *msa_buffer_truncate(msa_buffer *buffer, int64_t rows);

//===----------------------------------------------------------------------===//
// Context: the working memory of one conversation or thread. Thread-compatible.
//===----------------------------------------------------------------------===//

/// Contexts of one program share weights and code and may run at once. A run reuses the memory of the run before it; from the
/// third run of the same shapes on, nothing is allocated. On a GPU a context has a stream of its own.
typedef struct msa_context msa_context;

MSA_NODISCARD MSA_API msa_status *msa_context_create(msa_program *program, msa_context **out_context);
MSA_API msa_context *msa_context_retain(msa_context *context);
MSA_API void msa_context_release(msa_context *context);
MSA_API msa_program *msa_context_program(const msa_context *context);
/// Gives working memory back to the allocator; outputs that the runtime allocated are gone.
MSA_API void msa_context_trim(msa_context *context);
/// Bytes of working memory held now, a GPU's included, and the most that the commands of a run have needed at once.
MSA_API void msa_context_memory(const msa_context *context, uint64_t *out_held, uint64_t *out_peak);

//===----------------------------------------------------------------------===//
// Cancel token. Thread-safe.
//===----------------------------------------------------------------------===//

typedef struct msa_cancel_token msa_cancel_token;

MSA_NODISCARD MSA_API msa_status *msa_cancel_token_create(msa_runtime *runtime, msa_cancel_token **out_token);
MSA_API msa_cancel_token *msa_cancel_token_retain(msa_cancel_token *token);
MSA_API void msa_cancel_token_release(msa_cancel_token *token);
/// Asks every run that was given |token| to stop: each does so within one kernel tile range.
MSA_API void msa_cancel_token_cancel(msa_cancel_token *token);
MSA_API void msa_cancel_token_reset(msa_cancel_token *token);
MSA_API bool msa_cancel_token_is_cancelled(const msa_cancel_token *token);

//===----------------------------------------------------------------------===//
// Profile: what the commands of runs cost. Thread-compatible.
//===----------------------------------------------------------------------===//

typedef struct msa_profile msa_profile;

typedef struct msa_profile_event {
  const char *entry;
  const char *command;  // "dispatch", "copy", "alloc"...; "run" for a whole invocation
  const char *name;     // of a dispatch, its kernel; else ""
  const char *location; // of a dispatch, the place in the model; else ""
  uint32_t index;       // of the command in its entry
  int64_t tiles;        // of a dispatch; of a copy, bytes
  int64_t start_ns;     // since the profile was created
  int64_t duration_ns;
} msa_profile_event;

MSA_NODISCARD MSA_API msa_status *msa_profile_create(msa_runtime *runtime, msa_profile **out_profile);
MSA_API msa_profile *msa_profile_retain(msa_profile *profile);
MSA_API void msa_profile_release(msa_profile *profile);
MSA_API void msa_profile_clear(msa_profile *profile);
MSA_API size_t msa_profile_event_count(const msa_profile *profile);
/// Events that were lost because memory ran out.
MSA_API size_t msa_profile_dropped_count(const msa_profile *profile);
/// False past the end. Strings live as long as the program that ran.
MSA_API bool msa_profile_get_event(const msa_profile *profile, size_t index, msa_profile_event *out_event);
/// Writes the events to |path| in the JSON form that trace viewers (Perfetto, chrome://tracing) read.
MSA_NODISCARD MSA_API msa_status *msa_profile_write(const msa_profile *profile, const char *path);

//===----------------------------------------------------------------------===//
// Invocation: an entry with its inputs and outputs bound. Thread-compatible, and so is its context.
//===----------------------------------------------------------------------===//

/// Bindings stay until they are replaced, so that a step that is run again binds only what changed.
typedef struct msa_invocation msa_invocation;

MSA_NODISCARD MSA_API msa_status *msa_invocation_create(msa_context *context, uint32_t entry, msa_invocation **out_invocation);
MSA_API msa_invocation *msa_invocation_retain(msa_invocation *invocation);
MSA_API void msa_invocation_release(msa_invocation *invocation);
MSA_API msa_context *msa_invocation_context(const msa_invocation *invocation);
/// Drops all bindings.
MSA_API void msa_invocation_reset(msa_invocation *invocation);

/// Type, rank and static dims are checked at once, dynamic dims when the run starts. |tensor| itself is copied, its data is not.
MSA_NODISCARD MSA_API msa_status *msa_invocation_bind_input(msa_invocation *invocation, uint32_t input, const msa_tensor *tensor);
/// Binds rows in several places, in order. |shape| gives |type|, |rank| and all dims but the first, which is the sum of the
/// spans' rows (shape->shape[0] and shape->data are not read). Empty spans are skipped. |spans| is copied, the rows are not.
/// Inputs with msa_port.spans read them in place; others need exactly one non-empty span or none.
MSA_NODISCARD MSA_API msa_status *msa_invocation_bind_input_spans(msa_invocation *invocation, uint32_t input,
                                                                  const msa_tensor *shape, const msa_row_span *spans,
                                                                  size_t span_count);
/// Binds the rows that |buffer| has when the run starts. Retained until replaced.
MSA_NODISCARD MSA_API msa_status *msa_invocation_bind_input_buffer(msa_invocation *invocation, uint32_t input,
                                                                   msa_buffer *buffer);
/// The result goes to |data|, |capacity| bytes, 64-byte aligned. It may be the memory of the input that the output aliases and
/// must not overlap any other bound memory. The run fails with MSA_TOO_SMALL, before anything is written to it, when |capacity|
/// does not hold what the entry needs.
MSA_NODISCARD MSA_API msa_status *msa_invocation_bind_output(msa_invocation *invocation, uint32_t output, void *data,
                                                             size_t capacity);
/// The result becomes the rows of |buffer|, which grows as needed. |buffer| may be bound to the input that the output aliases, and
/// to no other. When the run fails, an aliasing buffer keeps the rows that it had; any other is left with none. Retained until
/// replaced.
MSA_NODISCARD MSA_API msa_status *msa_invocation_bind_output_buffer(msa_invocation *invocation, uint32_t output,
                                                                    msa_buffer *buffer);
/// The result goes to memory of the context again (the default), readable until the next run of any invocation of the context.
MSA_NODISCARD MSA_API msa_status *msa_invocation_unbind_output(msa_invocation *invocation, uint32_t output);

/// Called from the running thread between commands. A result other than 0 stops the run with MSA_CANCELLED.
typedef int (*msa_progress_function)(void *user, uint32_t commands_done, uint32_t commands_total);

typedef struct msa_run_options {
  size_t struct_size; // set by msa_run_options_initialize
  msa_cancel_token *cancel;       // may be NULL
  msa_progress_function progress; // may be NULL
  void *progress_user;
  msa_profile *profile; // may be NULL
} msa_run_options;

MSA_API void msa_run_options_initialize(msa_run_options *options);

/// Runs the entry to its end. |options| may be NULL. Results are the same bytes whatever the number of threads.
/// Codes: MSA_FAILED_PRECONDITION (unbound input), MSA_INVALID_ARGUMENT (dims that disagree, overlapping memory), MSA_TOO_SMALL,
/// MSA_PROGRAM_FAILED, MSA_CANCELLED, MSA_OUT_OF_MEMORY, MSA_DEVICE_FAILED. After a failure outputs are undefined and the next run is
/// unaffected, unless a GPU failed. On a GPU the call returns when the GPU is done and outputs can be read.
MSA_NODISCARD MSA_API msa_status *msa_invocation_run(msa_invocation *invocation, const msa_run_options *options);

/// Shape and memory of output |output| of the last run. Memory of the context is valid until its next run.
MSA_NODISCARD MSA_API msa_status *msa_invocation_output(const msa_invocation *invocation, uint32_t output, msa_tensor *out_tensor);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // MSA_MSA_H

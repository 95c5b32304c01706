// SPDX-License-Identifier: Apache-2.0
//
// Loading for a CUDA device: which variant is taken, and what is said where none can be.

#include "cuda_program.h"

using namespace msa::test;

namespace {

struct Log {
  std::string text;
  static void write(void *user, msa_log_level level, const char *message) {
    static_cast<Log *>(user)->text += std::string(level == MSA_LOG_WARNING ? "warning: " : "note: ") + message + "\n";
  }
};

struct CudaLoad : StandInTest {
  void SetUp() override {
    StandInTest::SetUp();
    msa_program_options_initialize(&options);
    options.device = MSA_DEVICE_CUDA;
  }
  /// Loads and keeps nothing.
  msa_status *load(const Artifact &artifact) {
    msa_runtime_options runtimeOptions;
    msa_runtime_options_initialize(&runtimeOptions);
    runtimeOptions.thread_count = 1;
    runtimeOptions.log = Log::write;
    runtimeOptions.log_user = &log;
    msa_runtime *runtime = nullptr;
    msa_program *program = nullptr;
    expectOk(msa_runtime_create(&runtimeOptions, &runtime));
    FileBytes file(artifact.write());
    msa_status *status = msa_program_load_memory(runtime, file.data(), file.size(), &options, &program);
    variant = program ? msa_program_variant(program) : "";
    device = program ? msa_program_device(program) : msa_device_kind(99);
    msa_program_release(program);
    msa_runtime_release(runtime);
    return status;
  }
  static Artifact gpuOnly() {
    Artifact artifact = gpuTestArtifact();
    dropCpuVariants(artifact);
    return artifact;
  }

  msa_program_options options;
  Log log;
  std::string variant;
  msa_device_kind device = MSA_DEVICE_CPU;
};

TEST_F(CudaLoad, TakesTheFirstVariantThatTheDeviceRuns) {
  Artifact artifact = gpuTestArtifact();
  msa::schema::VariantT &ninety = addGpuVariant(artifact, "cuda:sm_90", testPtx());
  for (const auto &kernel : artifact.program.kernels)
    ninety.gpu_kernels.push_back(gpuKernel(launchCase(launch(kernel->symbol, term(1), 32))));
  expectOk(load(artifact));
  EXPECT_EQ(variant, "cuda:sm_90");
  options.variant = "cuda:sm_80";
  expectOk(load(artifact));
  EXPECT_EQ(variant, "cuda:sm_80");
  options.variant = nullptr;
  set("MSA_PTXEMU_SM", "89");
  expectOk(load(artifact));
  EXPECT_EQ(variant, "cuda:sm_80");
  set("MSA_PTXEMU_SM", "100");
  expectOk(load(artifact));
  EXPECT_EQ(variant, "cuda:sm_80") << "sm_90a runs on 9.0 and nothing else";
  options.variant = "cuda:sm_90";
  EXPECT_MESSAGE(load(artifact), MSA_UNSUPPORTED, "has compute capability 10.0; it needs compute capability 9.0");
}

TEST_F(CudaLoad, NamesWhatIsThereWhenNothingFits) {
  set("MSA_PTXEMU_SM", "75");
  EXPECT_MESSAGE(load(gpuOnly()), MSA_UNSUPPORTED,
                 "device cuda:0 'PTX emulator, sm_75' has compute capability 7.5, the artifact has code for 'cuda:sm_80'; compile the "
                 "model with --target=cuda:sm_80");
  EXPECT_MESSAGE(load(gpuTestArtifact()), MSA_UNSUPPORTED, "it can run on the CPU, if that is asked for or allowed");
  options.allow_cpu = true;
  expectOk(load(gpuTestArtifact()));
  EXPECT_EQ(device, MSA_DEVICE_CPU);
  EXPECT_NE(log.text.find("warning: running on the CPU, variant 'x86-64': device cuda:0"), std::string::npos) << log.text;
  EXPECT_MESSAGE(load(gpuOnly()), MSA_UNSUPPORTED, "and on the CPU, which is allowed: the artifact has code for GPUs alone");
}

TEST_F(CudaLoad, RefusesDevicesThatAreNotThere) {
  options.device_ordinal = 1;
  EXPECT_MESSAGE(load(gpuOnly()), MSA_UNSUPPORTED, "device cuda:1 was asked for: expected CUDA device 1, found 1 device");
  options.device_ordinal = 0;
  set("MSA_PTXEMU_DEVICES", "0");
  EXPECT_MESSAGE(load(gpuOnly()), MSA_UNSUPPORTED, "NVIDIA's driver does not start: CUDA_ERROR_NO_DEVICE (100");
}

TEST_F(CudaLoad, RefusesCpuVariantsOnAGpuAndGpuVariantsOnACpu) {
  options.variant = "x86-64";
  EXPECT_MESSAGE(load(gpuTestArtifact()), MSA_INVALID_ARGUMENT, "variant 'x86-64' was asked for on device cuda:0, but it is not a GPU's");
  options.variant = "cuda:sm_90";
  EXPECT_MESSAGE(load(gpuTestArtifact()), MSA_NOT_FOUND, "variant 'cuda:sm_90' was asked for, the artifact has 'cuda:sm_80', 'x86-64'");
  options.device = MSA_DEVICE_CPU;
  EXPECT_MESSAGE(load(gpuTestArtifact()), MSA_INVALID_ARGUMENT, "variant 'cuda:sm_90' was asked for, but the device is the CPU");
  options.variant = nullptr;
  EXPECT_MESSAGE(load(gpuOnly()), MSA_UNSUPPORTED, "the artifact has code for GPUs alone, 'cuda:sm_80'; load it for device cuda");
  options.device = msa_device_kind(7);
  EXPECT_MESSAGE(load(gpuOnly()), MSA_INVALID_ARGUMENT, "7 is not a device");
  options.device = MSA_DEVICE_CUDA;
  options.bank_content = msa_placement(5);
  EXPECT_MESSAGE(load(gpuOnly()), MSA_INVALID_ARGUMENT, "5 is not a placement");
}

TEST_F(CudaLoad, SaysWhatTheDriversCompilerSays) {
  Artifact artifact = gpuOnly();
  std::string text = testPtx();
  text.replace(text.find("add.f32"), 7, "fly.f32");
  artifact.blobs.back().bytes.assign(text.begin(), text.end());
  artifact.blobs.back().bytes.push_back(0);
  std::string message = messageOf(load(artifact), MSA_DEVICE_FAILED);
  EXPECT_NE(message.find("cannot compile the PTX of variant 'cuda:sm_80': CUDA_ERROR_INVALID_PTX"), std::string::npos) << message;
  EXPECT_NE(message.find("errors: line "), std::string::npos) << message;
  options.allow_cpu = true;
  msa_status_release(load(gpuTestArtifact()));
  EXPECT_EQ(device, MSA_DEVICE_CUDA);
}

TEST_F(CudaLoad, NamesFunctionsThatAreMissingOrTooLarge) {
  Artifact missing = gpuOnly();
  missing.program.variants[0]->gpu_kernels[2]->cases[0]->launches[0]->symbol = "nowhere";
  EXPECT_MESSAGE(load(missing), MSA_INVALID_ARTIFACT, "kernel 2 'test_append': variant 'cuda:sm_80' defines no function 'nowhere'");
  set("MSA_PTXEMU_SM", "80");
  Artifact large = gpuOnly();
  large.program.variants[0]->gpu_kernels[0]->cases[0]->launches[0]->dynamic_shared = 200000;
  EXPECT_MESSAGE(load(large), MSA_UNSUPPORTED, "needs 200000 bytes of shared memory, the device has 166912 for a block");
}

TEST_F(CudaLoad, CompilesPtxWhereACubinIsRefused) {
  Artifact artifact = gpuOnly();
  auto cubin = std::make_unique<msa::schema::CubinT>();
  cubin->sm = 90;
  cubin->segment = uint32_t(artifact.blobs.size());
  artifact.blobs.push_back({msa::schema::SegmentKind::CUBIN, {0x7f, 'E', 'L', 'F', 0, 0, 0, 0}, "sm_90"});
  artifact.program.variants[0]->cubins.push_back(std::move(cubin));
  expectOk(load(artifact));
  EXPECT_NE(log.text.find("warning: the driver refuses the kernels that were assembled for sm_90"), std::string::npos) << log.text;
}

TEST_F(CudaLoad, SaysWhenTheDeviceIsFull) {
  set("MSA_PTXEMU_MEMORY", "3000");
  EXPECT_MESSAGE(load(gpuOnly()), MSA_OUT_OF_MEMORY, "CUDA device 0 has no 4096 bytes of memory left");
  set("MSA_PTXEMU_MEMORY", "100000");
  CudaProgram program(gpuOnly());
  Invocation add(program, "add");
  std::vector<float> a(20000), b(20000);
  bind(add, 0, a, {20000});
  bind(add, 1, b, {20000});
  EXPECT_MESSAGE(msa_invocation_run(add, nullptr), MSA_OUT_OF_MEMORY, "entry 'add': CUDA device 0 has no");
  a.resize(10);
  b.resize(10);
  bind(add, 0, a, {10});
  bind(add, 1, b, {10});
  expectOk(msa_invocation_run(add, nullptr));
}

// The frozen artifact of the first format version that knew GPUs (compat/README.md).
TEST_F(CudaLoad, RunsTheFrozenArtifact) {
  TestProgram cpu;
  msa_program *program = nullptr;
  msa_context *context = nullptr;
  msa_invocation *add = nullptr;
  uint32_t entry = 0;
  expectOk(msa_program_load_file(cpu.runtime, MSA_TEST_COMPAT_DIR "/add-1.1.msa", &options, &program));
  ASSERT_NE(program, nullptr);
  EXPECT_STREQ(msa_program_variant(program), "cuda:sm_80");
  expectOk(msa_context_create(program, &context));
  ASSERT_TRUE(msa_program_find_entry(program, "add_constant", &entry));
  expectOk(msa_invocation_create(context, entry, &add));
  std::vector<float> x(16, 10);
  bind(add, 0, x, {16});
  expectOk(msa_invocation_run(add, nullptr));
  EXPECT_EQ(output<float>(add, 0)[15], 25.0f);
  msa_invocation_release(add);
  msa_context_release(context);
  msa_program_release(program);
}

TEST_F(CudaLoad, TakesOptionsOfCallersFromBefore) {
  options.device = MSA_DEVICE_CPU;
  options.struct_size = offsetof(msa_program_options, device);
  options.device = msa_device_kind(12345); // beyond what such a caller has
  expectOk(load(gpuTestArtifact()));
  EXPECT_EQ(device, MSA_DEVICE_CPU);
  options.struct_size -= 8;
  EXPECT_MESSAGE(load(gpuTestArtifact()), MSA_INVALID_ARGUMENT, "options->struct_size is");
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// 20 kernels that do one thing: D[64, 128] = A[64, K] B[K, 128] by wgmma from shared memory, for each way in which operands may lie there. The
// emulator's model of wgmma descriptors rests on documents; where there is a GPU, these kernels say first whether the documents were read rightly.
//
// The host lays out an image of shared memory by the formulas below; the kernel copies it and knows nothing but the descriptors.

#include "Case.h"

#include <cmath>
#include <sstream>

namespace cases {

namespace {

constexpr unsigned kM = 64, kN = 128;
/// Elements of K, so that a row of the widest swizzle is whole.
unsigned depthOf(unsigned elementBytes) { return 128 / elementBytes; }

enum class Major { K, MN };

/// How an operand of `extent` rows (M or N) by depth() lies in shared memory.
struct Layout {
  Major major;
  unsigned extent, elementBytes, swizzle;

  unsigned depth() const { return depthOf(elementBytes); }
  unsigned atom() const { return swizzle / elementBytes; } ///< elements in a swizzled row
  unsigned chunk() const { return 16 / elementBytes; }
  unsigned bytes() const { return extent * depth() * elementBytes; }
  /// Leading and stride byte offsets of the descriptor.
  unsigned leading() const {
    if (swizzle)
      return major == Major::K ? 16 : depth() * swizzle;
    return major == Major::K ? 128 : 128 * (extent / chunk());
  }
  unsigned stride() const {
    if (swizzle)
      return 8 * swizzle;
    return major == Major::K ? 128 * (depth() / chunk()) : 128;
  }
  /// Where element (mn, k) lies.
  unsigned offset(unsigned mn, unsigned k) const {
    unsigned at;
    if (!swizzle)
      at = major == Major::K ? mn / 8 * stride() + k / chunk() * leading() + mn % 8 * 16 + k % chunk() * elementBytes
                             : mn / chunk() * stride() + k / 8 * leading() + k % 8 * 16 + mn % chunk() * elementBytes;
    else
      at = major == Major::K ? k / atom() * extent * swizzle + mn * swizzle + k % atom() * elementBytes
                             : mn / atom() * leading() + k * swizzle + mn % atom() * elementBytes;
    unsigned mask = swizzle ? swizzle / 16 - 1 : 0; // bits 7.. are added to bits 4.. without carry
    return at ^ ((at >> 7 & mask) << 4);
  }
  /// By how much the descriptor's address moves on for step number `step` of wgmma.
  unsigned advance(unsigned step) const {
    unsigned k = step * 32 / elementBytes;
    if (!swizzle)
      return major == Major::K ? k / chunk() * leading() : k / 8 * leading();
    return major == Major::K ? k / atom() * extent * swizzle + k % atom() * elementBytes : k * swizzle;
  }
  uint64_t descriptor() const {
    uint64_t mode = swizzle == 128 ? 1 : swizzle == 64 ? 2 : swizzle == 32 ? 3 : 0;
    return mode << 62 | uint64_t(stride() >> 4) << 32 | uint64_t(leading() >> 4) << 16;
  }
};

std::string registers(unsigned count) {
  std::string out = "{";
  for (unsigned i = 0; i < count; ++i)
    out += (i ? ", %f" : "%f") + std::to_string(i);
  return out + "}";
}

std::string text(const std::string &type, const Layout &a, const Layout &b) {
  unsigned bytes = a.bytes() + b.bytes(), step = 32 / a.elementBytes;
  std::ostringstream out;
  out << ".version 8.0\n.target sm_90a\n.address_size 64\n"
      << ".extern .shared .align 1024 .b8 image[];\n"
      << ".visible .entry descriptor(.param .u64 from, .param .u64 to, .param .s64 tiles, .param .u64 workspace)\n.reqntid 128\n{\n"
      << ".reg .pred %p;\n.reg .b32 %r<16>;\n.reg .b64 %rd<16>;\n.reg .f32 %f<64>;\n"
      << "ld.param.u64 %rd0, [from];\nld.param.u64 %rd1, [to];\ncvta.to.global.u64 %rd0, %rd0;\ncvta.to.global.u64 %rd1, %rd1;\n"
      << "mov.u32 %r0, %tid.x;\nmov.u32 %r1, image;\nshl.b32 %r2, %r0, 4;\n"
      << "copy:\ncvt.u64.u32 %rd2, %r2;\nadd.s64 %rd2, %rd0, %rd2;\nld.global.v4.b32 {%r4, %r5, %r6, %r7}, [%rd2];\nadd.u32 %r3, %r1, %r2;\n"
      << "st.shared.v4.b32 [%r3], {%r4, %r5, %r6, %r7};\nadd.u32 %r2, %r2, 2048;\nsetp.lt.u32 %p, %r2, " << bytes << ";\n@%p bra copy;\n"
      << "fence.proxy.async;\nbar.sync 0;\n";
  for (unsigned i = 0; i < kN / 2; ++i)
    out << "mov.f32 %f" << i << ", 0f00000000;\n";
  // The address fields: 14 bits of address / 16.
  out << "shr.u32 %r8, %r1, 4;\nand.b32 %r8, %r8, 16383;\ncvt.u64.u32 %rd3, %r8;\nadd.u32 %r9, %r1, " << a.bytes()
      << ";\nshr.u32 %r9, %r9, 4;\nand.b32 %r9, %r9, 16383;\ncvt.u64.u32 %rd4, %r9;\n"
      << "or.b64 %rd3, %rd3, " << a.descriptor() << "U;\nor.b64 %rd4, %rd4, " << b.descriptor() << "U;\nwgmma.fence.sync.aligned;\n";
  for (unsigned i = 0; i < a.depth() / step; ++i) {
    out << "add.s64 %rd5, %rd3, " << (a.advance(i) >> 4) << ";\nadd.s64 %rd6, %rd4, " << (b.advance(i) >> 4) << ";\n"
        << "wgmma.mma_async.sync.aligned.m64n" << kN << "k" << step << ".f32." << type << "." << type << " " << registers(kN / 2) << ", %rd5, %rd6, 1, 1, 1";
    if (a.elementBytes == 2)
      out << ", " << (a.major == Major::MN) << ", " << (b.major == Major::MN);
    out << ";\n";
  }
  out << "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
      // Row warp * 16 + lane / 4, columns 2 * (lane % 4); the second half is 8 rows down.
      << "shr.u32 %r10, %r0, 5;\nshl.b32 %r10, %r10, 4;\nand.b32 %r11, %r0, 31;\nshr.u32 %r12, %r11, 2;\nadd.u32 %r10, %r10, %r12;\nand.b32 %r11, %r0, 3;\n"
      << "shl.b32 %r11, %r11, 1;\nmad.lo.u32 %r10, %r10, " << kN << ", %r11;\nmul.wide.u32 %rd7, %r10, 4;\nadd.s64 %rd7, %rd1, %rd7;\n";
  for (unsigned i = 0; i < kN / 2; ++i)
    out << "st.global.f32 [%rd7+" << 4 * (i / 4 * 8 + i % 2 + i / 2 % 2 * 8 * kN) << "], %f" << i << ";\n";
  out << "ret;\n}\n";
  return out.str();
}

const char *majorName(Major major) { return major == Major::K ? "k" : "mn"; }

Instance make(const std::string &type, Major a, Major b, unsigned swizzle) {
  unsigned elementBytes = type == "e4m3" ? 1 : 2;
  Layout layoutA{a, kM, elementBytes, swizzle}, layoutB{b, kN, elementBytes, swizzle};
  Instance made;
  made.name = "descriptor." + type + "." + majorName(a) + "_" + majorName(b) + "_swizzle" + std::to_string(swizzle);
  made.family = "descriptor";
  made.parameters = {{"type", type}, {"a", majorName(a)}, {"b", majorName(b)}, {"swizzle", swizzle}};
  Launch launch;
  launch.symbol = "descriptor";
  launch.block = 128;
  launch.dynamicShared = layoutA.bytes() + layoutB.bytes();
  made.launches.push_back(launch);
  made.ptx = text(type, layoutA, layoutB);
  return made;
}

} // namespace

std::vector<Instance> descriptorInstances() {
  std::vector<Instance> all;
  for (unsigned swizzle : {0u, 32u, 64u, 128u})
    for (Major a : {Major::K, Major::MN})
      for (Major b : {Major::K, Major::MN})
        all.push_back(make("bf16", a, b, swizzle));
  all.push_back(make("f16", Major::K, Major::MN, 128));
  for (unsigned swizzle : {0u, 64u, 128u})
    all.push_back(make("e4m3", Major::K, Major::K, swizzle));
  return all;
}

nlohmann::json descriptorShape(const Instance &instance, Size) {
  return {{"m", kM}, {"n", kN}, {"k", depthOf(instance.parameters.at("type") == "e4m3" ? 1 : 2)}};
}

Case makeDescriptor(const Instance &instance, const Request &request) {
  const nlohmann::json &p = instance.parameters;
  std::string typeName = p.at("type").get<std::string>();
  Element type = typeName == "e4m3" ? Element::E4M3 : element(typeName);
  unsigned size = elementBytes(type), swizzle = p.at("swizzle").get<unsigned>();
  auto major = [&](const char *key) { return p.at(key) == "k" ? Major::K : Major::MN; };
  unsigned depth = depthOf(size);
  Layout a{major("a"), kM, size, swizzle}, b{major("b"), kN, size, swizzle};
  std::mt19937_64 engine(request.seed);
  Tensor lhs = Tensor::random(type, kM * depth, engine), rhs = Tensor::random(type, kN * depth, engine); // rhs[N, K]
  std::vector<std::byte> image(a.bytes() + b.bytes()), lhsBytes = lhs.bytes(), rhsBytes = rhs.bytes();
  for (unsigned k = 0; k < depth; ++k) {
    for (unsigned m = 0; m < kM; ++m)
      std::memcpy(&image[a.offset(m, k)], &lhsBytes[(m * depth + k) * size], size);
    for (unsigned n = 0; n < kN; ++n)
      std::memcpy(&image[a.bytes() + b.offset(n, k)], &rhsBytes[(n * depth + k) * size], size);
  }
  std::vector<double> want, slack;
  for (unsigned m = 0; m < kM; ++m)
    for (unsigned n = 0; n < kN; ++n) {
      double sum = 0, scale = 0;
      for (unsigned k = 0; k < depth; ++k) {
        double product = lhs.values[m * depth + k] * rhs.values[n * depth + k];
        sum += product;
        scale += std::abs(product);
      }
      want.push_back(sum);
      // Tensor cores keep fewer bits of 8-bit products' sums; a wrong layout is off by far more.
      slack.push_back(scale * (size == 1 ? 0x1p-10 : 0x1p-18));
    }
  Case made;
  made.buffers = {{"image", std::move(image), false}, {"result", std::vector<std::byte>(kM * kN * 4), true}};
  made.shape = request.shape;
  made.judge = [=](const std::vector<std::vector<std::byte>> &contents) { return compare(Tensor::from(Element::F32, contents.at(1)), want, slack); };
  return made;
}

} // namespace cases

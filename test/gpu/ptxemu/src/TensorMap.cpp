// SPDX-License-Identifier: Apache-2.0
//
// encodeTensorMap(): the checks that the driver documents for cuTensorMapEncodeTiled.

#include "TensorMapImage.h"

namespace ptxemu {

uint32_t elementBytes(TensorMapType type) {
  switch (type) {
  case TensorMapType::Uint8:
    return 1;
  case TensorMapType::Uint16:
  case TensorMapType::Float16:
  case TensorMapType::Bfloat16:
    return 2;
  case TensorMapType::Uint64:
  case TensorMapType::Int64:
  case TensorMapType::Float64:
    return 8;
  default:
    return 4;
  }
}

static bool isFloat(TensorMapType type) { return type >= TensorMapType::Float16; }

static std::string number(uint64_t value) { return std::to_string(value); }

std::string encodeTensorMap(TensorMap &map, TensorMapType type, uint32_t rank, uint64_t address, const uint64_t *sizes, const uint64_t *strides,
                            const uint32_t *box, const uint32_t *elementStrides, uint32_t interleave, TensorMapSwizzle swizzle,
                            uint32_t l2Promotion, uint32_t oobFill) {
  if (uint32_t(type) > uint32_t(TensorMapType::TensorFloat32Ftz))
    return "data type " + number(uint32_t(type)) + " is unknown";
  if (rank < 1 || rank > 5)
    return "rank is " + number(rank) + ": expected 1 to 5";
  if (interleave != 0)
    return "interleaved layouts are not supported by the emulator";
  if (uint32_t(swizzle) > 3)
    return "swizzle " + number(uint32_t(swizzle)) + " is not supported";
  if (l2Promotion > 3)
    return "L2 promotion is " + number(l2Promotion) + ": expected 0 to 3";
  if (oobFill > 1)
    return "out-of-bounds fill is " + number(oobFill) + ": expected 0 or 1";
  if (oobFill == 1 && !isFloat(type))
    return "NaN fill needs a floating-point type";
  if (address == 0 || address % 16)
    return "global address must be a multiple of 16 bytes and not 0";
  if (!sizes || !box || !elementStrides || (rank > 1 && !strides))
    return "an array is null";

  TensorMap made;
  made.magic = tensorMapMagic;
  made.address = address;
  made.rank = uint8_t(rank);
  made.type = uint8_t(type);
  made.swizzle = uint8_t(swizzle);
  made.l2Promotion = uint8_t(l2Promotion);
  made.oobFill = uint8_t(oobFill);
  for (uint32_t d = 0; d < rank; ++d) {
    std::string which = " of dimension " + number(d) + " is ";
    if (sizes[d] == 0 || sizes[d] > uint64_t(1) << 32)
      return "size" + which + number(sizes[d]) + ": expected 1 to 2^32";
    if (box[d] == 0 || box[d] > 256)
      return "box size" + which + number(box[d]) + ": expected 1 to 256";
    if (elementStrides[d] == 0 || elementStrides[d] > 8)
      return "element stride" + which + number(elementStrides[d]) + ": expected 1 to 8";
    made.sizes[d] = uint32_t(sizes[d] - 1);
    made.box[d] = uint16_t(box[d]);
    made.elementStrides[d] = uint8_t(d == 0 ? 1 : elementStrides[d]); // the innermost is ignored without interleaving
    if (d + 1 < rank) {
      if (strides[d] % 16 || strides[d] >= uint64_t(1) << 40)
        return "stride of dimension " + number(d + 1) + " is " + number(strides[d]) + " bytes: expected a multiple of 16 below 2^40";
      made.strides[d] = strides[d];
    }
  }
  uint32_t inner = box[0] * elementBytes(type);
  if (inner % 16)
    return "inner box is " + number(inner) + " bytes: expected a multiple of 16";
  uint32_t span = swizzle == TensorMapSwizzle::None ? 0 : 16u << uint32_t(swizzle);
  if (span && inner > span)
    return "inner box is " + number(inner) + " bytes: expected at most the swizzle's " + number(span);
  map = made;
  return "";
}

} // namespace ptxemu

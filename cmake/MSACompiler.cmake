# SPDX-License-Identifier: Apache-2.0
#
# Finds MLIR and gives the compiler folders their two helpers:
#   msa_add_library(NAME SOURCES... [TABLEGEN_TARGETS t...] [LINK libs...])   a static library of compiler code
#   msa_tablegen(TARGET FILE.td OUT FLAGS... [OUT FLAGS...]...)               see dialect/CMakeLists.txt for its use

find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "expected MLIR 22, found ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}: set MLIR_DIR to lib/cmake/mlir of version 22")
endif()
message(STATUS "MLIR ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}")
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

set(MSA_COMPILER_INCLUDES ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
set(MSA_LLVM_TOOLS_DIR ${LLVM_TOOLS_BINARY_DIR})
separate_arguments(MSA_LLVM_DEFINITIONS NATIVE_COMMAND "${LLVM_DEFINITIONS}")

# MLIR's headers are most of the compile time of a pass. One precompiled header serves every compiler library.
add_library(msa_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_include_directories(msa_pch PUBLIC ${CMAKE_SOURCE_DIR})
target_include_directories(msa_pch SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_definitions(msa_pch PUBLIC ${MSA_LLVM_DEFINITIONS})
target_precompile_headers(msa_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
target_compile_options(msa_pch PRIVATE $<$<CXX_COMPILER_ID:Clang>:-fpch-instantiate-templates> $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)

function(msa_add_library name)
  cmake_parse_arguments(ARG "" "" "TABLEGEN_TARGETS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${MSA_COMPILER_INCLUDES})
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PUBLIC ${MSA_LLVM_DEFINITIONS})
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-fpch-instantiate-templates> $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
  target_precompile_headers(${name} REUSE_FROM msa_pch)
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_TABLEGEN_TARGETS)
    add_dependencies(${name} ${ARG_TABLEGEN_TARGETS})
  endif()
endfunction()

# msa_tablegen(TARGET FILE.td OUT1 "-flags" OUT2 "-flags" ...): outputs beside the .td's path in the build tree.
function(msa_tablegen target file)
  set(outputs)
  set(args ${ARGN})
  get_filename_component(td ${file} ABSOLUTE)
  file(GLOB_RECURSE local_tds CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/dialect/*.td)
  while(args)
    list(POP_FRONT args out flags)
    separate_arguments(flags NATIVE_COMMAND "${flags}")
    set(path ${CMAKE_CURRENT_BINARY_DIR}/${out})
    add_custom_command(OUTPUT ${path}
      COMMAND ${MLIR_TABLEGEN_EXE} ${flags} -I ${CMAKE_SOURCE_DIR} -I ${MLIR_INCLUDE_DIRS} -I ${LLVM_INCLUDE_DIRS} ${td} --write-if-changed -o ${path}
      DEPENDS ${td} ${local_tds} ${MLIR_TABLEGEN_EXE} VERBATIM)
    list(APPEND outputs ${path})
  endwhile()
  add_custom_target(${target} DEPENDS ${outputs})
endfunction()

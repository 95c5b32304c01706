# SPDX-License-Identifier: Apache-2.0
#
# Component `runtime`: headers, both libraries, find_package(msa) and msa.pc.

include(CMakePackageConfigHelpers)

install(TARGETS msa_runtime msa_runtime_shared EXPORT msaTargets COMPONENT runtime
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT runtime
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime)
install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include/msa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT runtime
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(EXPORT msaTargets NAMESPACE msa:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/msa COMPONENT runtime)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/msaConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/msaConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/msa)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/msaConfigVersion.cmake VERSION 1.1 COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/msaConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/msaConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/msa COMPONENT runtime)

# The prefix is found from the place of msa.pc, so that an installed tree can be moved.
file(RELATIVE_PATH MSA_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/msa.pc.in ${CMAKE_CURRENT_BINARY_DIR}/msa.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/msa.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT runtime)

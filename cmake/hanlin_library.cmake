# hanlin_library(NAME <name> SRCS … DEPS … [PRIVATE_DEPS …] [TESTS …] [FUZZ …])
#
# One call describes one library of the house:
#   SRCS          sources, relative to the calling directory
#   DEPS          libraries whose headers our headers need (hanlin libraries by their short name, others by target)
#   PRIVATE_DEPS  libraries that only our sources need
#   TESTS         GoogleTest sources; together they become the binary <name>_test and the CTest test <name>
#   SEPARATE      sources use the same names for different things: never several in one unit (CMAKE_UNITY_BUILD of all presets but dev)
#   FUZZ          libFuzzer sources; each becomes a binary named after its file, and part of the target `fuzzers` (clang, -DHANLIN_FUZZ=ON)
function(_hanlin_resolve out)
  set(resolved "")
  foreach(dep IN LISTS ARGN)
    if(dep MATCHES "::" OR TARGET ${dep})
      list(APPEND resolved ${dep})
    else()
      list(APPEND resolved hanlin_${dep})
    endif()
  endforeach()
  set(${out} ${resolved} PARENT_SCOPE)
endfunction()

add_library(hanlin_options INTERFACE)
target_include_directories(hanlin_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(hanlin_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers -fno-math-errno)
# g++ 12 sees overlaps in inlined std::string operations (GCC bug 105651) and unset members in moved std::variants
# (GCC bug 105562) that are not there.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(hanlin_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
# Position of the source tree: tests find fixtures and ../shared with it. CTest runs them there, so "." will do too; the presets
# use it, because objects that hold no absolute path are found in the compiler cache from every clone.
set(HANLIN_TEST_ROOT ${CMAKE_SOURCE_DIR} CACHE STRING "Source tree as seen from where tests run")
target_compile_definitions(hanlin_options INTERFACE HANLIN_SOURCE_DIR="${HANLIN_TEST_ROOT}")
# clang 19 reports the deprecated std::get_temporary_buffer that libstdc++ 12's own std::stable_sort calls.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(hanlin_options INTERFACE -Wno-deprecated-declarations)
endif()
# A unit names its sources by absolute paths: __FILE__ must hold none either, so that every clone finds the objects in the compiler
# cache. g++ takes the unnamed namespaces of a unit's sources for a header's.
if(CMAKE_UNITY_BUILD)
  target_compile_options(hanlin_options INTERFACE -fmacro-prefix-map=${CMAKE_SOURCE_DIR}=. $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(HANLIN_SANITIZE)
  target_compile_options(hanlin_options INTERFACE -fsanitize=${HANLIN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hanlin_options INTERFACE -fsanitize=${HANLIN_SANITIZE})
endif()

if(HANLIN_FUZZ)
  add_custom_target(fuzzers)  # builds all of them, into <build>/fuzz
endif()

function(hanlin_library)
  cmake_parse_arguments(L "SEPARATE" "NAME" "SRCS;DEPS;PRIVATE_DEPS;TESTS;FUZZ" ${ARGN})
  _hanlin_resolve(deps ${L_DEPS})
  _hanlin_resolve(private_deps ${L_PRIVATE_DEPS})
  add_library(hanlin_${L_NAME} STATIC ${L_SRCS})
  target_link_libraries(hanlin_${L_NAME} PUBLIC hanlin_options ${deps} PRIVATE ${private_deps})
  if(L_SEPARATE)
    set_target_properties(hanlin_${L_NAME} PROPERTIES UNITY_BUILD OFF)
  endif()
  if(HANLIN_TESTS AND L_TESTS)
    add_executable(${L_NAME}_test ${L_TESTS})
    target_link_libraries(${L_NAME}_test PRIVATE hanlin_${L_NAME} ${private_deps} GTest::gtest GTest::gtest_main)
    add_test(NAME ${L_NAME} COMMAND ${L_NAME}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${L_NAME} PROPERTIES TIMEOUT 1200)
  endif()
  if(HANLIN_FUZZ)
    target_compile_options(hanlin_${L_NAME} PRIVATE -fsanitize=fuzzer-no-link)
    foreach(source IN LISTS L_FUZZ)
      get_filename_component(fuzzer ${source} NAME_WE)
      add_executable(${fuzzer} ${source})
      target_link_libraries(${fuzzer} PRIVATE hanlin_${L_NAME})
      target_compile_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${fuzzer} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
      add_dependencies(fuzzers ${fuzzer})
    endforeach()
  endif()
endfunction()

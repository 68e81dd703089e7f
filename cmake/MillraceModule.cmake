# millrace_module(NAME [DEPS module...] [PRIVATE_LIBS library...] [PUBLIC_LIBS library...])
#
# One module = one folder = one target `millrace_NAME` = one namespace. Sources are src/*.cc, public headers lie in
# include/millrace/NAME. DEPS are modules of a lower rank; PRIVATE_LIBS are third-party libraries, which no public
# header may show.
function(millrace_module name)
  cmake_parse_arguments(M "" "" "DEPS;PRIVATE_LIBS;PUBLIC_LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS src/*.cc)
  set(scope PRIVATE)
  set(interface PUBLIC)
  if(sources)
    add_library(millrace_${name} STATIC ${sources})
    target_include_directories(millrace_${name} PUBLIC include PRIVATE src)
    millrace_warnings(millrace_${name})
  else()
    add_library(millrace_${name} INTERFACE)
    target_include_directories(millrace_${name} INTERFACE include)
    set(scope INTERFACE)
    set(interface INTERFACE)
  endif()
  list(TRANSFORM M_DEPS PREPEND millrace_)
  target_link_libraries(millrace_${name} ${interface} ${M_DEPS} ${M_PUBLIC_LIBS})
  if(M_PRIVATE_LIBS)
    target_link_libraries(millrace_${name} ${scope} ${M_PRIVATE_LIBS})
  endif()
endfunction()

# Of g++ 12, -Wmaybe-uninitialized fires on moved std::variant and std::optional, and -Wrestrict at -O3 inside
# std::string, so they stay off.
function(millrace_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           -Wnon-virtual-dtor)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-restrict)
  endif()
  if(MILLRACE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# millrace_test(NAME SOURCES file... [DEPS module...] [LIBS library...] [LABEL label] [SERVERS])
#
# A Catch2 program whose cases become CTest tests. SERVERS: they start a server, and are skipped where it
# cannot be had (tests/support/servers.h).
function(millrace_test name)
  cmake_parse_arguments(T "SERVERS" "LABEL" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  list(TRANSFORM T_DEPS PREPEND millrace_)
  target_link_libraries(${name} PRIVATE ${T_DEPS} ${T_LIBS} Catch2::Catch2WithMain)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  millrace_warnings(${name})
  if(NOT T_LABEL)
    set(T_LABEL unit)
  endif()
  set(properties LABELS ${T_LABEL})
  if(T_SERVERS)
    list(APPEND properties TIMEOUT 300 SKIP_REGULAR_EXPRESSION "SKIPPED: ")
    target_compile_definitions(${name} PRIVATE MILLRACE_DEPS="${CMAKE_SOURCE_DIR}/.deps")
  endif()
  catch_discover_tests(${name} TEST_PREFIX "${name}: " PROPERTIES ${properties})
endfunction()

# What every program that runs for long is linked with.
function(millrace_daemon target)
  if(TARGET PkgConfig::PC_jemalloc)
    target_link_libraries(${target} PRIVATE PkgConfig::PC_jemalloc)
  endif()
  millrace_warnings(${target})
endfunction()

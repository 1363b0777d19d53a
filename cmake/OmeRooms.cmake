# A room is a folder of host/ and one static library of the same name.  It sees the headers of the rooms it names
# after USES (and what those use), and no others: an include that runs upward does not build.
#
#   ome_room(kube SOURCES client.c cache.c USES net api LIBS PkgConfig::SQLITE)
function(ome_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LIBS" ${ARGN})
  set(view ${CMAKE_BINARY_DIR}/rooms/${name})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/host/${name} ${view}/${name} SYMBOLIC)
  add_library(host_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(host_${name} PUBLIC ${view} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(host_${name} PUBLIC ome_flags ${ROOM_LIBS} Threads::Threads)
  foreach(used ${ROOM_USES})
    target_link_libraries(host_${name} PUBLIC host_${used})
  endforeach()
endfunction()

# One cmocka program a subject, run by ctest as NAME with label "unit".
#
#   ome_test(base_json ROOM base SOURCES json_test.c [LABELS unit] [TIMEOUT 60])
function(ome_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "ROOM;SOURCES;LABELS" ${ARGN})
  add_executable(test_${name} ${TEST_SOURCES})
  foreach(room ${TEST_ROOM})
    target_link_libraries(test_${name} PRIVATE host_${room})
  endforeach()
  target_link_libraries(test_${name} PRIVATE PkgConfig::CMOCKA)
  target_compile_definitions(test_${name} PRIVATE OME_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    OME_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND test_${name})
  if(NOT TEST_LABELS)
    set(TEST_LABELS unit)
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 60)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT ${TEST_TIMEOUT})
endfunction()

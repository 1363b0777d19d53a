# Builds a plugin: one shared object that exports ome_plugin_v1 and nothing else, and resolves every symbol at load.
#
#   ome_add_plugin(storage-hf SOURCES hf.c LIBS PkgConfig::JSONC)
set(OME_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/plugin.map)

function(ome_add_plugin name)
  cmake_parse_arguments(PLUGIN "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} MODULE ${PLUGIN_SOURCES})
  target_link_libraries(${name} PRIVATE ome-sdk ${PLUGIN_LIBS})
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden)
  set_property(GLOBAL APPEND PROPERTY OME_PLUGINS ${name})
  if(OME_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${OME_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  target_link_options(${name} PRIVATE -Wl,--version-script=${OME_PLUGIN_EXPORTS} -Wl,-z,now -Wl,-Bsymbolic-functions)
  if(NOT OME_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

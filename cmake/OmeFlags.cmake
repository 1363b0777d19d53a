# Compiler and linker flags of everything in the project, as one interface target.
add_library(ome_flags INTERFACE)

target_compile_definitions(ome_flags INTERFACE _GNU_SOURCE OME_VERSION="${PROJECT_VERSION}")
target_compile_options(ome_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wconversion -Wcast-qual -Wwrite-strings -Wundef -Wvla
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough
  -Wdate-time>
  -fvisibility=hidden -fno-common -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(ome_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wduplicated-cond -Wlogical-op>)
endif()
if(OME_WERROR)
  target_compile_options(ome_flags INTERFACE -Werror)
endif()
if(OME_FUZZ) # the rooms tell the fuzzer which of their branches an input reached; without that it gropes in the dark
  target_compile_options(ome_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(OME_SANITIZE)
  # gcc's null-dereference analysis sees the sanitizers' own checks as reachable null paths.
  target_compile_options(ome_flags INTERFACE -fsanitize=${OME_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all $<$<COMPILE_LANGUAGE:C>:-Wno-null-dereference>)
  target_link_options(ome_flags INTERFACE -fsanitize=${OME_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(ome_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
    -fstack-clash-protection -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(ome_flags INTERFACE -fcf-protection)
  endif()
  target_link_options(ome_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

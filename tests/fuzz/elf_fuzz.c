/* What the loader reads of a file before the dynamic linker may have it. */
#include "plugin/elf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ome_err err = ERR_INIT;
  void *aligned = malloc(size ? size : 1); /* as mmap gives it, and no byte longer */

  if (!aligned)
    return 0;
  memcpy(aligned, data, size);
  (void)elf_check("input", aligned, size, &err);
  free(aligned);
  return 0;
}

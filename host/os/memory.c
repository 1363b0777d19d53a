#include "os/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

/* Code is never written to: its pages are those of the file.  Those of data may not be. */
static void drop_code(const char *line) {
  unsigned long from, upto;
  char rights[5], path[2];

  if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %1s", &from, &upto, rights, path) == 4 && rights[0] == 'r' &&
      rights[1] == '-' && rights[2] == 'x' && path[0] == '/')
    (void)madvise((void *)(uintptr_t)from, upto - from, MADV_DONTNEED);
}

void memory_trim(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[4352]; /* a path, and what is before it */

  while (maps && fgets(line, sizeof(line), maps))
    drop_code(line);
  if (maps)
    (void)fclose(maps);
#ifdef __GLIBC__
  (void)malloc_trim(0);
#endif
}

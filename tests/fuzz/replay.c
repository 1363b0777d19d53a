/* Feeds every file of the folders and files named on the command line to the fuzz target, and mutations of each: bytes
 * cut off, flipped and doubled, the same ones every time. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t next(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

/* A heap copy of exact size, so that AddressSanitizer sees any byte read beyond it. */
static void run(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);

  if (!copy)
    abort();
  memcpy(copy, data, size);
  (void)LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

static void mutate(uint8_t *data, size_t size) {
  uint32_t seed = (uint32_t)size;

  run(data, size);
  for (int i = 0; size && i < 64; i++) {
    size_t at = next(&seed) % size;
    uint8_t old = data[at];
    run(data, at);
    data[at] = (uint8_t)next(&seed);
    run(data, size);
    data[at] = old;
  }
}

static int run_file(const char *path) {
  static uint8_t data[1 << 20];
  FILE *f = fopen(path, "rb");

  if (!f)
    return perror(path), 0;
  size_t size = fread(data, 1, sizeof(data), f);
  (void)fclose(f);
  mutate(data, size);
  return 1;
}

static int run_path(const char *path) {
  struct dirent **names = NULL;
  struct stat st;
  int files = 0;

  if (stat(path, &st) != 0)
    return perror(path), 0;
  if (!S_ISDIR(st.st_mode))
    return run_file(path);
  int n = scandir(path, &names, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char file[4096];
    (void)snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
    if (names[i]->d_name[0] != '.')
      files += run_file(file);
    free(names[i]);
  }
  free(names);
  return files;
}

int main(int argc, char **argv) {
  int files = 0;

  for (int i = 1; i < argc; i++)
    files += run_path(argv[i]);
  printf("%d files replayed\n", files);
  return files ? 0 : 1; /* a corpus that is not there tests nothing */
}

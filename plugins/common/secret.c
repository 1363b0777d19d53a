#include "secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *secret_read_file(const char *path, size_t max, size_t *len) {
  FILE *f = fopen(path, "re");
  char *text = f ? malloc(max + 1) : NULL;
  size_t n = text ? fread(text, 1, max + 1, f) : 0;
  int failed = f && ferror(f);

  if (f)
    (void)fclose(f);
  if (!text || failed || n > max) {
    secret_forget(text, max + 1);
    return NULL;
  }
  text[n] = '\0';
  if (len)
    *len = n;
  return text;
}

char *secret_read_word(const char *path, size_t max) {
  char *text = secret_read_file(path, max, NULL);

  if (text)
    text[strcspn(text, " \t\r\n")] = '\0';
  return text;
}

int secret_write_file(const char *path, const char *text, size_t len) {
  char *aside = NULL;
  int fd = asprintf(&aside, "%s.XXXXXX", path) < 0 ? -1 : mkostemp(aside, O_CLOEXEC); /* of mode 0600 */
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  int failed = !f || fwrite(text, 1, len, f) != len || fflush(f) != 0 || fsync(fd) != 0;

  if (f)
    failed |= fclose(f) != 0;
  else if (fd >= 0)
    (void)close(fd);
  if (fd >= 0 && (failed || rename(aside, path) != 0)) {
    (void)unlink(aside);
    failed = 1;
  }
  free(aside);
  return failed ? -1 : 0;
}

void secret_forget(char *text, size_t len) {
  if (text)
    explicit_bzero(text, len);
  free(text);
}

const char *env_text(const char *name) {
  const char *value = getenv(name);

  return value && *value ? value : NULL;
}

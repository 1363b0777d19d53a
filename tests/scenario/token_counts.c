/* Counts tokens for a test:  token_counts TOKENIZER.JSON  reads texts from standard input, a NUL behind each, and
 * prints a number for each, or "-" where it is refused; the reason goes to standard error. */
#include "base/buf.h"
#include "os/file.h"
#include "tokens/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  _cleanup_(tokenizer_freep) struct tokenizer *t = NULL;
  _cleanup_buf_ struct buf in = BUF_INIT;
  _cleanup_free_ char *file = NULL;
  struct ome_err err = ERR_INIT;
  char part[65536];
  size_t len;
  ssize_t n;

  if (argc != 2 || file_read(argv[1], TOKENIZER_MAX_FILE, &file, &len, &err) != OME_OK ||
      tokenizer_read(argv[1], file, len, &t, &err) != OME_OK) {
    fprintf(stderr, "%s\n", err.msg);
    return 1;
  }
  while ((n = read(STDIN_FILENO, part, sizeof(part))) > 0)
    buf_add(&in, part, (size_t)n);
  for (const char *p = buf_str(&in), *end = p + in.len; p < end; p += strlen(p) + 1) {
    uint64_t count;
    if (tokenizer_count(t, p, strlen(p), &count, &err) == OME_OK)
      printf("%llu\n", (unsigned long long)count);
    else
      printf("-\n");
    if (*err.msg)
      fprintf(stderr, "%s\n", err.msg);
    err_clear(&err);
  }
  return 0;
}

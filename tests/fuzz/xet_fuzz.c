/* What Xet storage answers: chunks of xorbs, and the plan that puts a file together from them.  The first byte says
 * which. */
#include "../../plugins/storage/xet_chunk.h"
#include "../../plugins/storage/xet_plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_chunks(const uint8_t *at, size_t left) {
  struct xet_decoder *d = xet_decoder_new();
  struct xet_chunk chunk;
  size_t size = 0;

  for (; d && !xet_chunk_parse(at, left, &chunk, &size); at += size, left -= size) {
    const uint8_t *content = NULL;
    uint64_t sum = 0;
    if (size > left || chunk.unpacked > XET_CHUNK_MAX)
      abort();
    if (!xet_decode(d, &chunk, &content))
      for (size_t i = 0; i < chunk.unpacked; i++)
        sum += content[i];
    if (sum > UINT64_MAX / 2)
      abort();
  }
  xet_decoder_free(d);
}

static void read_plan(const char *text, size_t len) {
  struct xet_plan p;

  if (xet_plan_read(text, len, &p))
    return;
  for (size_t i = 0; i < p.nterms; i++) {
    const struct xet_term *t = &p.terms[i];
    if (t->start >= t->end || t->start < t->range->start || t->end > t->range->end ||
        t->range->first > t->range->last || !xet_is_hash(t->range->hash) || strlen(t->range->url) < 7)
      abort();
  }
  if (p.skip > p.terms[0].unpacked)
    abort();
  xet_plan_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  if (data[0] == 'c')
    read_chunks(data + 1, size - 1);
  else
    read_plan((const char *)data + 1, size - 1);
  return 0;
}

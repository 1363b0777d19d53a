/* What a benchmarked server sends, and the files and notations that a benchmark is made of: the first byte says which.
 */
#include "base/str.h"
#include "bench/answer.h"
#include "bench/arrival.h"
#include "bench/dataset.h"
#include "bench/scenario.h"
#include "bench/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(void *arg, const char *text, size_t len) {
  return answer_take(arg, text, len) != ANSWER_BAD;
}

/* In pieces whose sizes the first byte chooses. */
static void stream(const uint8_t *data, size_t size) {
  struct answer a = {0};
  struct ome_err err = ERR_INIT;
  struct sse s;
  size_t step = 1 + data[0] % 7;

  sse_init(&s);
  for (size_t at = 1; at < size; at += step)
    if (sse_feed(&s, data + at, size - at < step ? size - at : step, take, &a, &err) != OME_OK)
      break;
  sse_fini(&s);
}

static void files(const uint8_t *data, size_t size) {
  _cleanup_free_ char *text = str_copy((const char *)data, size);
  struct dataset d = {0};
  struct arrival_offsets o = {0};
  struct scenario s;
  struct random r = {1};
  struct sample sample;
  struct ome_err err = ERR_INIT;

  (void)dataset_read("f", (const char *)data, size, &d, &err);
  dataset_fini(&d);
  (void)arrival_read("f", text, &o, &err);
  VEC_FREE(&o.ns);
  for (int task = 0; task < TASK_COUNT; task++)
    if (scenario_parse(text, (enum bench_task)task, &s, &err) == OME_OK)
      scenario_sample(&s, &r, &sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct answer a = {0};

  if (size == 0)
    return 0;
  if (data[0] & 0x40)
    stream(data, size);
  else
    files(data, size);
  (void)answer_take(&a, (const char *)data, size);
  return 0;
}

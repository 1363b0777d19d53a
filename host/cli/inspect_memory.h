/* ome inspect --memory: which accelerator, and what fits on it. */
#ifndef HOST_CLI_INSPECT_MEMORY_H
#define HOST_CLI_INSPECT_MEMORY_H

#include "base/err.h"
#include "base/json.h"
#include "model/facts.h"

struct inspect_memory {
  const char *accelerator; /* the name of an AcceleratorClass that comes with ome, or a file with one */
  const char *context;     /* "32k"; NULL: the model's */
  uint64_t concurrency;
};

/* Puts what fits where into DOC as "memory". */
int32_t inspect_memory(const struct inspect_memory *m, const struct model_facts *f, struct json_object *doc,
                       struct ome_err *err);
/* That as tables, for people. */
void inspect_memory_print(struct json_object *memory);

#endif

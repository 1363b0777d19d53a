/* What requests ask for. */
#ifndef HOST_BENCH_TASK_H
#define HOST_BENCH_TASK_H

#include <stdbool.h>

enum bench_task {
  TASK_CHAT,
  TASK_COMPLETIONS,
  TASK_EMBEDDINGS,
  TASK_RERANK,
  TASK_IMAGE_CHAT,
  TASK_IMAGE_EMBEDDINGS,
  TASK_COUNT
};

struct task_facts {
  const char *name;      /* "chat" */
  const char *ome_name;  /* "text-to-text", as BenchmarkJob and genai-bench call it */
  const char *path;      /* below the server's address */
  const char *scenarios; /* letters of the scenario notation that suit it */
  const char *fallback;  /* what is measured when nobody says */
  bool generates;        /* the answer is tokens, which can be streamed */
};

const struct task_facts *task_facts(enum bench_task task);
/* By either name. */
bool task_find(const char *name, enum bench_task *out);

#endif

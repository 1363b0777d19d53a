#include "bench/task.h"

#include "base/str.h"

static const struct task_facts tasks[TASK_COUNT] = {
    [TASK_CHAT] = {"chat", "text-to-text", "/v1/chat/completions", "DNUP",
                   "N(480,240)/(300,150) D(100,100) D(100,1000) D(2000,200) D(7800,200)", true},
    [TASK_COMPLETIONS] = {"completions", "text-completion", "/v1/completions", "DNUP",
                          "N(480,240)/(300,150) D(100,100) D(100,1000) D(2000,200) D(7800,200)", true},
    [TASK_EMBEDDINGS] = {"embeddings", "text-to-embeddings", "/v1/embeddings", "E",
                         "E(64) E(128) E(256) E(512) E(1024)", false},
    [TASK_RERANK] = {"rerank", "text-to-rerank", "/v1/rerank", "R", "R(256,32)", false},
    [TASK_IMAGE_CHAT] = {"image", "image-to-text", "/v1/chat/completions", "I", "I(512,512) I(1024,512) I(2048,2048)",
                         true},
    [TASK_IMAGE_EMBEDDINGS] = {"image-embeddings", "image-to-embeddings", "/v1/embeddings", "I", "I(512,512)", false},
};

const struct task_facts *task_facts(enum bench_task task) {
  return &tasks[task];
}

bool task_find(const char *name, enum bench_task *out) {
  for (int i = 0; i < TASK_COUNT; i++)
    if (streq(name, tasks[i].name) || streq(name, tasks[i].ome_name)) {
      *out = (enum bench_task)i;
      return true;
    }
  return false;
}

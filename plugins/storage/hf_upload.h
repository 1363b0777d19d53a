/* One file to a repository of the Hub: a commit of its own, as huggingface_hub makes them. */
#ifndef PLUGINS_STORAGE_HF_UPLOAD_H
#define PLUGINS_STORAGE_HF_UPLOAD_H

#include "../common/http.h"

#include <ome/storage.h>

struct hf_target {
  const char *endpoint;
  const char *repo;     /* "ORG/NAME" */
  const char *revision; /* a branch */
  const char *below;    /* a folder of the repository; "": its root */
  const char *token;    /* "": none */
  /* The error for an answer that is none of what was hoped for. */
  int32_t (*refused)(const struct http_answer *a, const char *repo, const char *token, struct ome_err *err);
};

/* Files that the hub wants in LFS go there first; larger ones than a single request may have are refused. */
int32_t hf_upload(const struct hf_target *t, const struct ome_upload_file *file, struct ome_uploader *to,
                  struct ome_err *err);

#endif

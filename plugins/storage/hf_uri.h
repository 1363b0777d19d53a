/* hf://ORG/NAME[/PATH][@REVISION]: what of a Hugging Face repository is meant.  Pure. */
#ifndef PLUGINS_STORAGE_HF_URI_H
#define PLUGINS_STORAGE_HF_URI_H

#include <stddef.h>

struct hf_uri {
  char repo[200];     /* "org/name" */
  char path[512];     /* file or folder in it; "" all */
  char revision[200]; /* "main" when none is given */
};

/* 0, or -1 for what is none. */
int hf_uri_parse(const char *uri, struct hf_uri *out);

/* Whether PATH is wanted: below ROOT ("" all), matching one of the comma-separated patterns INCLUDE (NULL all) and
 * none of EXCLUDE (NULL none). */
int hf_wants(const char *path, const char *root, const char *include, const char *exclude);

#endif

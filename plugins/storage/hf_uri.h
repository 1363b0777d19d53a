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

/* Whether PATH is ROOT or below it; "" is above all. */
int hf_is_below(const char *path, const char *root);

#endif

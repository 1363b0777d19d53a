/* The file formats that say what a model is.  Each reader adds what it learns to the facts; input is hostile: every
 * count and length is checked against the file and against a bound. */
#ifndef HOST_MODEL_FORMATS_H
#define HOST_MODEL_FORMATS_H

#include "model/facts.h"

/* Hugging Face config.json; at most 8 MiB. */
int32_t config_read(const struct model_file *file, struct model_facts *f, struct ome_err *err);
/* https://github.com/huggingface/safetensors#format; a header of at most 100 MB.  Adds to f->parameters. */
int32_t safetensors_read(const struct model_file *file, struct model_facts *f, struct ome_err *err);
/* https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.  Adds to f->parameters; METADATA: also
 * what the file says of itself. */
int32_t gguf_read(const struct model_file *file, bool metadata, struct model_facts *f, struct ome_err *err);

void model_warn(struct model_facts *f, const char *sentence);
void model_set(char **slot, const char *value); /* copies VALUE unless empty */

#endif

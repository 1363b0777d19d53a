/* Shared by the parsers of model files. */
#ifndef HOST_MODEL_INTERNAL_H
#define HOST_MODEL_INTERNAL_H

#include "model/facts.h"

/* A window over one file, for parsers that go forward. */
struct reader {
  const struct model_source *src;
  const char *path;
  uint64_t size, at; /* of the file, of the next byte */
  uint8_t *window;
  uint64_t window_at;
  size_t window_len;
};

int32_t reader_open(const struct model_source *src, const char *path, struct reader *out, struct ome_err *err);
void reader_close(struct reader *r);
int32_t reader_get(struct reader *r, void *out, size_t len, struct ome_err *err);
int32_t reader_skip(struct reader *r, uint64_t len, struct ome_err *err);
int32_t reader_u32(struct reader *r, uint32_t *out, struct ome_err *err); /* little-endian */
int32_t reader_u64(struct reader *r, uint64_t *out, struct ome_err *err);

const struct model_file *source_find(const struct model_source *src, const char *path); /* NULL: not there */
/* src->prepare() where it has one. */
int32_t source_prepare(const struct model_source *src, const struct model_range *ranges, size_t n, struct ome_err *err);
/* A small JSON file; *OUT NULL and OME_OK where there is none. */
int32_t source_json(const struct model_source *src, const char *path, size_t max, struct json_object **out,
                    struct ome_err *err);

/* As source_json(); *TWICE, unless NULL, becomes true where an object in it has equal keys, of which the last counts.
 */
int32_t source_json_twice(const struct model_source *src, const char *path, size_t max, struct json_object **out,
                          bool *twice, struct ome_err *err);

/* Of a JSON text that the parser took: keys of objects down to DEPTH, 1 being the outermost.  Equal ones count each. */
size_t json_text_keys(const char *text, size_t len, int depth);
/* Whether the outermost object has equal keys: the first such, as it is written, and where it stands again. */
bool json_text_twice(const char *text, size_t len, char name[128], size_t *at);
/* Keys of all objects in O, which is no deeper than the parser lets through. */
size_t json_keys(struct json_object *o);

void facts_warn(struct model_facts *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills capabilities and apis from the rest. */
void facts_capabilities(struct model_facts *f);

/* Each fills what its files say.  FOLDER is "" or ends with '/'. */
/* F->embedding says already whether the files beside it speak of embeddings. */
int32_t config_read(struct json_object *config, struct model_facts *f, struct ome_err *err);
/* BITS is tensors_bits(). */
int32_t safetensors_read(const struct model_source *src, const char *folder, unsigned bits, struct model_facts *f,
                         struct ome_err *err);
int32_t gguf_read(const struct model_source *src, struct model_facts *f, struct ome_err *err);
int32_t pytorch_read(const struct model_source *src, const char *folder, struct model_facts *f, struct ome_err *err);
/* PATH is a model_index.json, an adapter_config.json. */
int32_t diffusers_read(const struct model_source *src, const char *path, struct model_facts *f, struct ome_err *err);
int32_t adapter_read(const struct model_source *src, const char *path, struct model_facts *f, struct ome_err *err);
/* Says which small files will be read; reads those that say nothing of the weights. */
int32_t beside_prepare(const struct model_source *src, struct ome_err *err);
int32_t beside_read(const struct model_source *src, const char *folder, struct model_facts *f, struct ome_err *err);
struct packing_plan;
/* The packing of the weights, and what it makes of a parameter's size; after dtype.  PLAN borrows from CONFIG. */
void quantization_read(struct json_object *config, struct model_facts *f, struct packing_plan *plan);

#endif

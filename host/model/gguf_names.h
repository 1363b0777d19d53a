/* Numbers and names that GGUF files use, and what they mean. */
#ifndef HOST_MODEL_GGUF_NAMES_H
#define HOST_MODEL_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* A tensor type of ggml: BLOCK numbers take BYTES. */
struct gguf_type {
  const char *name;
  uint32_t block, bytes;
};
const struct gguf_type *gguf_type_of(uint32_t type); /* NULL: never heard of */

/* general.file_type: "Q4_K_M"; NULL: not known. */
const char *gguf_file_type(uint64_t type);

/* general.architecture, and what Hugging Face calls the same; NULL: not known. */
struct gguf_family {
  const char *gguf, *type, *architecture;
};
const struct gguf_family *gguf_family_of(const char *architecture);

#endif

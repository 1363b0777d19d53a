/* The tensors of a model's weight files, and how many parameters they stand for.
 *
 * Quantized weights are packed: one stored number holds several parameters, and scales, zero points and maps lie beside
 * them.  Those count as the parameters they stand for, and what only helps to unpack them as none. */
#ifndef HOST_MODEL_TENSORS_H
#define HOST_MODEL_TENSORS_H

#include "model/facts.h"

#include "base/arena.h"
#include "base/strmap.h"

/* Element types as safetensors names them; TENSOR_OTHER: one never heard of. */
enum tensor_type {
  TENSOR_F64,
  TENSOR_F32,
  TENSOR_F16,
  TENSOR_BF16,
  TENSOR_F8_E4M3,
  TENSOR_F8_E5M2,
  TENSOR_F8_E8M0,
  TENSOR_F8_E4M3FNUZ,
  TENSOR_F8_E5M2FNUZ,
  TENSOR_F6_E2M3,
  TENSOR_F6_E3M2,
  TENSOR_F4,
  TENSOR_I64,
  TENSOR_I32,
  TENSOR_I16,
  TENSOR_I8,
  TENSOR_U64,
  TENSOR_U32,
  TENSOR_U16,
  TENSOR_U8,
  TENSOR_BOOL,
  TENSOR_C64,
  TENSOR_OTHER
};

struct tensor {
  const char *name; /* of the arena */
  enum tensor_type type;
  uint64_t elements; /* as stored */
  uint64_t bytes;
};

struct tensors {
  VEC(struct tensor) list;
  struct strmap *by_name; /* name -> its index + 1, as a pointer */
  struct arena arena;
  uint64_t bytes;
  size_t twice;         /* tensors that are in more than one file; each is counted once */
  char twice_name[128]; /* one of them */
  size_t others;        /* of a type never heard of */
  char other_name[64];  /* one of those types */
};

int32_t tensors_init(struct tensors *t, struct ome_err *err);
void tensors_fini(struct tensors *t);
#define _cleanup_tensors_ _cleanup_(tensors_fini)

enum tensor_type tensor_type_of(const char *name);
unsigned tensor_type_bits(enum tensor_type type);     /* 0: not known */
const char *tensor_type_dtype(enum tensor_type type); /* as PyTorch calls it; "" not known */

/* Takes what T points at by copy; a name that is there already is counted in t->twice instead. */
int32_t tensors_add(struct tensors *t, const struct tensor *one, struct ome_err *err);

/* Bits of a packed weight as CONFIG, a config.json, says them; 0: it does not. */
unsigned tensors_bits(struct json_object *config);

/* Fills parameters, weight_bytes and weight_bits of F, and dtype and quantization where they are not known yet.
 * BITS is tensors_bits(); where the files tell another, theirs counts. */
int32_t tensors_count(const struct tensors *t, unsigned bits, struct model_facts *f, struct ome_err *err);

#endif

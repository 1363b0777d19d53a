/* How a quantization method stores a matrix, and which matrices it leaves as they were: from config.json alone. */
#ifndef HOST_MODEL_PACKING_H
#define HOST_MODEL_PACKING_H

#include "model/families.h"

/* One way to store a matrix of IN by OUT. */
struct packing_scheme {
  unsigned bits;                   /* of a number; 0: as it is */
  uint64_t block_in, block_out;    /* numbers that share a scale; 0: that whole side of the matrix */
  unsigned scale_bits, zero_bits;  /* of a block; zero points that are packed as the numbers are */
  unsigned input_bits, fixed_bits; /* beside: for each input; for the matrix */
};

/* What a method does to a model: which scheme for what it names, none for what it leaves out. */
struct packing_plan {
  struct packing_group {
    struct packing_scheme scheme;
    struct json_object *targets; /* borrowed array of names; NULL: every matrix */
  } groups[8];
  size_t ngroups;
  struct json_object *without[5]; /* borrowed arrays of names that stay as they are */
  struct json_object *dynamic;    /* borrowed: GPTQModel's object, whose keys "-:..." are names too */
  bool experts_only;              /* nothing but routed experts is touched */
  bool head, towers;              /* these are touched too where no name says otherwise */
  unsigned dtype_bits;            /* of a number that is not touched */
};

/* Bits that a number takes in a very large matrix, scales included. */
double packing_nominal(const struct packing_scheme *s);

/* Bytes of the weights of the model that S describes, counted as COUNT parameters, of which TOWERS belong to what sees
 * and hears; TEXT is what S was read from.  0: too many. */
uint64_t packed_bytes(const struct packing_plan *plan, const struct shape *s, struct json_object *text, uint64_t count,
                      uint64_t towers);

/* Names of modules that patterns are asked about.  Patterns come from outside; their number, length and the time that
 * they take are bounded, and what is beyond is left out. */
struct module_names;
int32_t module_names_new(struct module_names **out, struct ome_err *err);
/* Adds the texts of LIST, an array of names, of shell patterns, or of regular expressions behind "re:". */
bool module_names_add(struct module_names *n, struct json_object *list);
/* Adds the keys of DYNAMIC, GPTQModel's object, that are regular expressions behind "-:". */
bool module_names_add_dynamic(struct module_names *n, struct json_object *dynamic);
/* Whether any of them is, or contains, the module NAME of layer LAYER: "mlp.down_proj"; LAYER < 0: the model's own. */
bool module_names_have(struct module_names *n, int64_t layer, const char *name);
/* Whether any of them has WORD in it. */
bool module_names_mention(const struct module_names *n, const char *word);
void module_names_free(struct module_names *n);
DEFINE_CLEANUP(struct module_names *, module_names_free)

#endif

/* Facts: what a model and a runtime document say, as the plain structs that scorers read.
 *
 * Text members point into the documents, which must outlive the facts.  Pure; a facts object belongs to one thread, as
 * its documents do. */
#ifndef HOST_SELECT_FACTS_H
#define HOST_SELECT_FACTS_H

#include "base/json.h"

#include <ome/scorer.h>

#include <stdbool.h>

/* A diffusionPipeline as ome/scorer.h has it. */
struct select_pipeline {
  struct ome_kv *parts; /* NULL: none */
  char *names;          /* "vae.library" and its like, end to end */
};

/* DOC NULL: none. */
int32_t select_pipeline_init(struct select_pipeline *p, struct json_object *doc, struct ome_err *err);
void select_pipeline_fini(struct select_pipeline *p);

/* A model: BaseModel or ClusterBaseModel. */
struct select_model {
  struct ome_model_facts facts;
  struct json_object *doc; /* borrowed; NULL: the service names no model */
  struct select_pipeline pipeline;
  const char *quantization; /* as written; the facts have "" for what is not quantized at all */
  const char **capabilities;
  const char *assumed; /* NULL, or what was concluded without the model's files: a clause for people */
  char problem[256];   /* "" or why nothing can be selected for this model yet: a sentence for people */
  bool unread;         /* the problem ends by itself, when the model's files are read */
};

int32_t select_model_init(struct select_model *m, struct json_object *doc, struct ome_err *err);
void select_model_fini(struct select_model *m);

/* One entry of supportedModelFormats: what is scored is a runtime together with one of these. */
struct select_entry {
  struct ome_supported_format facts;
  struct json_object *doc; /* borrowed */
  struct select_pipeline pipeline;
  const char *quantization; /* as written */
  enum { ENTRY_AUTO_UNSET, ENTRY_AUTO_FALSE, ENTRY_AUTO_TRUE } auto_select;
  uint64_t size_min; /* parameters; the entry's range, else the runtime's; 0: open */
  uint64_t size_max;
  char problem[160]; /* "" or what is wrong with the entry */
};

/* A ServingRuntime or ClusterServingRuntime. */
struct select_runtime {
  struct ome_runtime_facts facts; /* formats is empty: an entry is put in when it is scored */
  struct json_object *doc;        /* what it says, ancestors included; borrowed from documents or HEIR */
  struct json_object *heir;       /* owned: the document with what it inherits (inherit.h); NULL: it inherits nothing */
  char problem[256];              /* "" or why it cannot be used at all: what it inherits from is not there, ... */
  const char *ns;                 /* NULL: cluster-scoped */
  struct select_entry *entries;
  const uint32_t *kinds; /* of each entry: struct select_field's; NULL: not known */
  size_t nentries;
  bool any_auto; /* an entry says autoSelect: true */
  const char **protocols;
  const char **accelerators; /* acceleratorRequirements.acceleratorClasses */
  const char *capabilities;  /* annotation ome.io/model-capabilities, comma-separated; "": serves any */
};

/* RUNTIMES, an array, has the ancestors that DOC may inherit from; NULL: none. */
int32_t select_runtime_init(struct select_runtime *r, struct json_object *doc, struct json_object *runtimes,
                            struct ome_err *err);
void select_runtime_fini(struct select_runtime *r);

/* "Namespaced" or "Cluster". */
const char *select_scope(const struct select_runtime *r);

/* Whether ENTRY takes MODEL only by what both mean, where OME compares what is written and refuses: "fp16" against no
 * quantization, an entry that names no framework or format version, a GGUF that carries its quantization.  Such an
 * entry comes after all that OME takes.  Only for pairs that the scorers took. */
bool select_by_intent(const struct select_entry *entry, const struct select_model *model);

/* An AcceleratorClass. */
void select_accelerator_facts(struct json_object *doc, struct ome_accelerator_facts *out);

#endif

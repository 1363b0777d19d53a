/* What the files about benchmarks share. */
#ifndef HOST_COMPOSE_BENCHMARK_INTERNAL_H
#define HOST_COMPOSE_BENCHMARK_INTERNAL_H

#include "compose/benchmark.h"

/* Where the pod has its things.  The runner of `ome up` replaces these in arguments by real folders. */
#define AT_ROOT "/run/ome-benchmark"
#define AT_JOB AT_ROOT "/job"
#define AT_RESULTS AT_ROOT "/results"
#define AT_OUTPUT AT_ROOT "/output"
#define AT_CREDENTIALS AT_ROOT "/credentials"
#define AT_API_KEY AT_ROOT "/api-key"
#define AT_DATASET AT_ROOT "/dataset"
#define AT_DATASET_CREDENTIALS AT_ROOT "/dataset-credentials"
#define AT_DATASET_CLAIM AT_ROOT "/dataset-claim"

#define FILE_METADATA "metadata.json"
#define FILE_PARAMS "params.json"
#define FILE_OUTPUT "output.json"
#define FILE_DATASET "dataset.json"

#define TOKENIZER_ANNOTATION "ome.io/benchmark-tokenizer" /* a path, a name on the Hub, or "model": the model's own */

#define DEFAULT_MINUTES 15
#define DEFAULT_REQUESTS 100

enum benchmark_place { PLACE_BACKEND, PLACE_CLAIM, PLACE_HOST };

/* One address of a spec.storage: where it leads, and the claim or folder that has to be mounted for it. */
struct benchmark_storage {
  enum benchmark_place place;
  const char *uri; /* borrowed */
  char *claim;     /* new; of PLACE_CLAIM, of the job's own namespace */
  char *path;      /* new; below the claim, or on the node */
};

struct benchmark_work {
  const struct benchmark_facts *facts;
  struct json_object *job;
  bool genai; /* the tool */
  const char *url;
  char *path_url;     /* new: URL, for who cannot resolve its name */
  const char *model;  /* as requests name it; NULL: the server is asked */
  const char *format; /* of the API: "openai" */
  const char *image;  /* of the tool */
  const char *ome_image;
  char *folder;  /* new: of the results */
  char *results; /* new: its path in the pod */
  struct benchmark_storage output, dataset;
  struct benchmark_plan *out;
};

/* OME_E_INVALID names FIELD. */
int32_t benchmark_storage_read(const char *uri, const char *field, struct benchmark_storage *out, struct ome_err *err);
void benchmark_storage_fini(struct benchmark_storage *s);
/* new: the address of FOLDER below URI. */
char *benchmark_report_uri(const char *uri, const char *folder);

/* new: the containers' command lines, as arrays. */
struct json_object *benchmark_native_args(const struct benchmark_work *w);
struct json_object *benchmark_genai_args(const struct benchmark_work *w);
struct json_object *benchmark_upload_args(const struct benchmark_work *w);
struct json_object *benchmark_dataset_args(const struct benchmark_work *w);

/* new: the facts that are kept beside the figures. */
struct json_object *benchmark_metadata(const struct benchmark_work *w);
/* new: spec.additionalRequestParams, each value as the JSON that it is. */
struct json_object *benchmark_params(const struct benchmark_work *w);
/* new: the tokenizer, as genai-bench has to have one; NULL: it cannot be told. */
char *benchmark_tokenizer(const struct benchmark_work *w);
/* Whether the pod reads files of the model. */
bool benchmark_reads_model(const struct benchmark_work *w);

/* new: the pod's spec. */
int32_t benchmark_pod(const struct benchmark_work *w, struct json_object **out, struct ome_err *err);

#endif

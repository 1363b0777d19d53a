/* The Job that runs a BenchmarkJob, and what its pod needs.  Pure.
 *
 * Two tools measure: `ome bench`, and genai-bench where the image (or annotation ome.io/benchmark-tool) asks for it. No
 * credential is in a command line: Secrets are mounted, parameters are in a ConfigMap. */
#ifndef HOST_COMPOSE_BENCHMARK_H
#define HOST_COMPOSE_BENCHMARK_H

#include "base/json.h"

#define LABEL_BENCHMARK "ome.io/benchmarkjob"                         /* the name as a label's value, on Job and pods */
#define ANNOTATION_BENCHMARK "ome.io/benchmarkjob"                    /* the whole name */
#define ANNOTATION_BENCHMARK_GENERATION "ome.io/benchmark-generation" /* of the spec that a Job runs */
#define ANNOTATION_BENCHMARK_REPORT "ome.io/benchmark-report"         /* where its results go */
#define BENCHMARK_CONTAINER "benchmark"                               /* the one whose log has the events */

/* What there is besides the BenchmarkJob.  Documents are borrowed; any of them may be NULL. */
struct benchmark_facts {
  struct json_object *job;
  struct json_object *service;  /* the InferenceService that is measured */
  struct json_object *model;    /* its BaseModel or ClusterBaseModel */
  struct json_object *runtime;  /* its ServingRuntime or ClusterServingRuntime */
  struct json_object *workload; /* its engine's Deployment */
  struct json_object *config;   /* "benchmarkjob" of ConfigMap benchmarkjob-config */
  const char *program;          /* how a container starts ome; NULL: "ome" */
  const char *plugins;          /* a plugins.conf that containers are to load */
  bool embedded;                /* `ome up`: containers are processes here, services are at the gateway */
};

struct benchmark_plan {
  struct json_object *config_map; /* new; NULL: see message */
  struct json_object *job;        /* new; NULL: see message */
  char *report_uri;               /* new */
  bool waiting;                   /* what is missing may come; else the spec must change */
  char reason[64];                /* of a condition; "": there is a job */
  char message[1024];
};

/* Fails only when memory runs out or a podOverride cannot be merged; what is missing or wrong is in OUT's message. */
int32_t benchmark_plan(const struct benchmark_facts *facts, struct benchmark_plan *out, struct ome_err *err);
void benchmark_plan_fini(struct benchmark_plan *p);

/* new: the name of the Job of JOB; its ConfigMap's. */
char *benchmark_job_name(struct json_object *job);
char *benchmark_config_name(struct json_object *job);
/* The namespace of the service that JOB measures; NULL: it measures an address. */
const char *benchmark_service_namespace(struct json_object *job);

#endif

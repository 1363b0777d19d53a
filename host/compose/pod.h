/* From a merged component to its pod specs.  Pure. */
#ifndef HOST_COMPOSE_POD_H
#define HOST_COMPOSE_POD_H

#include "base/json.h"

#include <stdbool.h>

struct pod_request {
  struct json_object *service;     /* InferenceService: its metadata fills {{.Name}} and the like */
  struct json_object *component;   /* merged: pod fields, runner, leader, worker */
  const char *kind;                /* "engine", "decoder", "router" */
  struct json_object *model;       /* may be NULL */
  bool replaced;                   /* merged weights are loaded instead of the model's files */
  struct json_object *runtime;     /* may be NULL */
  struct json_object *entry;       /* the runtime's format entry that matched; may be NULL */
  struct json_object *accelerator; /* AcceleratorClass; may be NULL */
  bool grouped;                    /* the mode has leaders and workers */
};

struct pod_result {
  struct json_object *main;   /* PodSpec */
  struct json_object *worker; /* PodSpec, or NULL */
  char container[64];         /* name of the container that serves */
};

int32_t compose_pods(const struct pod_request *req, struct pod_result *out, struct ome_err *err);
void pod_result_fini(struct pod_result *r);

#endif
